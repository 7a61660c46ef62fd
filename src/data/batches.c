#include "data/batches.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

int64_t mega_padded_length(const struct mega_batching *b, int64_t length)
{
    int64_t multiple = b->multiple > 0 ? b->multiple : 1, octave = 8;
    if (length < 1) length = 1;
    while (2 * octave <= length) octave *= 2;
    /* a text within one window needs no padding to a multiple */
    int64_t step = length <= multiple ? octave / 8 : round_up(octave / 8, multiple);
    int64_t padded = round_up(length, step);
    if (length <= multiple && padded > multiple && multiple > 1) padded = multiple;
    return b->longest > 0 && padded > b->longest ? (length > b->longest ? length : b->longest)
                                                 : padded;
}

/* ---- order ---- */

static void shuffle(int64_t *item, int64_t n, uint64_t seed, uint64_t site)
{
    struct mega_rng g;
    mega_rng_start(&g, seed, site);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = mega_rng_below(&g, (uint32_t)(i + 1)), t = item[i];
        item[i] = item[k];
        item[k] = t;
    }
}

struct keyed {
    int64_t length, place, row;
};

static int by_length(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* sorts each pool of the shuffled rows by length; equal lengths keep their shuffled order */
static mega_status sort_pools(struct mega_plan *p, const struct mega_examples *e)
{
    enum { BATCHES_IN_POOL = 64 };
    int64_t pool = p->batching.rows * BATCHES_IN_POOL;
    struct keyed *key = malloc((size_t)(pool + 1) * sizeof *key);
    if (!key) return mega_fail(MEGA_NO_MEMORY, "no memory to sort %lld rows", (long long)pool);
    for (int64_t from = 0; from < p->rows; from += pool) {
        int64_t n = p->rows - from < pool ? p->rows - from : pool;
        for (int64_t i = 0; i < n; i++) {
            int64_t row = p->order[from + i];
            key[i] = (struct keyed){ e->start[row + 1] - e->start[row], i, row };
        }
        qsort(key, (size_t)n, sizeof *key, by_length);
        for (int64_t i = 0; i < n; i++) p->order[from + i] = key[i].row;
    }
    free(key);
    return MEGA_OK;
}

/* ---- batches ---- */

/* cuts the order into batches; first[] gets their beginnings */
static void cut(struct mega_plan *p, const struct mega_examples *e)
{
    const struct mega_batching *b = &p->batching;
    int64_t from = 0, longest = 0;
    p->batches = 0;
    p->first[0] = 0;
    for (int64_t i = 0; i < p->rows; i++) {
        int64_t row = p->order[i],
                padded = mega_padded_length(b, e->start[row + 1] - e->start[row]);
        if (padded > longest) longest = padded;
        bool full = i - from >= b->rows ||
                    (b->tokens > 0 && i > from && (i - from + 1) * longest > b->tokens);
        if (!full) continue;
        p->first[++p->batches] = i;
        from = i;
        longest = padded;
    }
    if (p->rows > from) p->first[++p->batches] = p->rows;
}

/* puts whole batches into a random order */
static mega_status shuffle_batches(struct mega_plan *p, uint64_t seed)
{
    int64_t *which = malloc((size_t)(p->batches + 1) * sizeof *which),
            *order = malloc((size_t)(p->rows + 1) * sizeof *order);
    int64_t *first = malloc((size_t)(p->rows + 2) * sizeof *first);
    if (!which || !order || !first) {
        free(which);
        free(order);
        free(first);
        return mega_fail(MEGA_NO_MEMORY, "no memory for %lld batches", (long long)p->batches);
    }
    for (int64_t k = 0; k < p->batches; k++) which[k] = k;
    shuffle(which, p->batches, seed, mega_hash_text("batches"));
    int64_t at = 0;
    for (int64_t k = 0; k < p->batches; k++) {
        int64_t from = p->first[which[k]], n = p->first[which[k] + 1] - from;
        first[k] = at;
        memcpy(order + at, p->order + from, (size_t)n * sizeof *order);
        at += n;
    }
    first[p->batches] = at;
    free(p->order);
    free(p->first);
    free(which);
    p->order = order;
    p->first = first;
    return MEGA_OK;
}

mega_status mega_plan_make(struct mega_plan *p, const struct mega_batching *b,
    const struct mega_examples *e, int64_t epoch)
{
    mega_plan_done(p);
    *p = (struct mega_plan){ .batching = *b, .epoch = epoch, .rows = e->n };
    p->order = malloc((size_t)(e->n + 1) * sizeof *p->order);
    p->first = malloc((size_t)(e->n + 2) * sizeof *p->first);
    mega_status status = p->order && p->first
                             ? MEGA_OK
                             : mega_fail(MEGA_NO_MEMORY, "no memory for the order of %lld rows",
                                   (long long)e->n);
    uint64_t seed = mega_hash_join(b->seed, (uint64_t)epoch);
    for (int64_t i = 0; !status && i < e->n; i++) p->order[i] = i;
    if (!status && b->shuffle) shuffle(p->order, p->rows, seed, mega_hash_text("rows"));
    if (!status && b->shuffle && b->bucket) status = sort_pools(p, e);
    if (!status) cut(p, e);
    if (!status && b->shuffle && b->bucket) status = shuffle_batches(p, seed);
    if (status) mega_plan_done(p);
    return status;
}

void mega_plan_done(struct mega_plan *p)
{
    free(p->order);
    free(p->first);
    *p = (struct mega_plan){ 0 };
}

int64_t mega_plan_updates(const struct mega_plan *p)
{
    int64_t k = p->batching.accumulate > 0 ? p->batching.accumulate : 1;
    return (p->batches + k - 1) / k;
}

static int64_t places_of(
    const struct mega_plan *p, const struct mega_examples *e, int64_t batch)
{
    int64_t longest = 0;
    for (int64_t i = p->first[batch]; i < p->first[batch + 1]; i++) {
        int64_t row = p->order[i], n = e->start[row + 1] - e->start[row];
        if (n > longest) longest = n;
    }
    return mega_padded_length(&p->batching, longest);
}

void mega_plan_largest(
    const struct mega_plan *p, const struct mega_examples *e, int64_t *rows, int64_t *places)
{
    *rows = *places = 0;
    for (int64_t k = 0; k < p->batches; k++) {
        int64_t n = p->first[k + 1] - p->first[k], T = places_of(p, e, k);
        if (n * T <= *rows * *places) continue;
        *rows = n;
        *places = T;
    }
}

/* ---- on the host ---- */

static bool grow(void *array, size_t item, int64_t room)
{
    void **at = array, *more = realloc(*at, (size_t)room * item);
    if (more) *at = more;
    return more != NULL;
}

static mega_status make_room(struct mega_host_batch *h)
{
    if (h->B > h->row_room) {
        if (!grow(&h->len, sizeof *h->len, h->B) || !grow(&h->label, sizeof *h->label, h->B) ||
            !grow(&h->index, sizeof *h->index, h->B))
            return mega_fail(
                MEGA_NO_MEMORY, "no memory for a batch of %lld rows", (long long)h->B);
        h->row_room = h->B;
    }
    if (h->B * h->T > h->room) {
        if (!grow(&h->id, sizeof *h->id, h->B * h->T))
            return mega_fail(MEGA_NO_MEMORY, "no memory for a batch of %lld places",
                (long long)(h->B * h->T));
        h->room = h->B * h->T;
    }
    return MEGA_OK;
}

mega_status mega_host_batch_fill(struct mega_host_batch *h, const struct mega_plan *p,
    const struct mega_examples *e, int64_t batch, int32_t pad)
{
    int64_t from = p->first[batch];
    h->B = p->first[batch + 1] - from;
    h->T = places_of(p, e, batch);
    MEGA_TRY(make_room(h));
    for (int64_t i = 0; i < h->B; i++) {
        int64_t row = p->order[from + i], n = e->start[row + 1] - e->start[row];
        if (n) memcpy(h->id + i * h->T, e->id + e->start[row], (size_t)n * sizeof *h->id);
        for (int64_t t = n; t < h->T; t++) h->id[i * h->T + t] = pad;
        h->len[i] = (int32_t)n;
        h->label[i] = e->label[row];
        h->index[i] = row;
    }
    return MEGA_OK;
}

void mega_host_batch_done(struct mega_host_batch *h)
{
    free(h->id);
    free(h->len);
    free(h->label);
    free(h->index);
    *h = (struct mega_host_batch){ 0 };
}
