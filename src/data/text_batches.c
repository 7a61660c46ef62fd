#include <stdlib.h>

#include "base/rng.h"
#include "data/text_plan.h"

void mega_text_batches_close(struct mega_text_batches *t)
{
    if (!t) return;
    mega_text_rows_done(&t->rows);
    mega_plan_done(&t->plan);
    free(t->lengths.start);
    free(t->step);
    free(t);
}

/* ---- opening ---- */

/* a recipe whose row is longer than its text trains on nothing that it asks for */
static mega_status check_size(
    const char *what, const struct mega_slice *s, const struct mega_text_batching *b)
{
    int64_t tokens = s->to - s->from,
            needed = b->length * (b->least > 0 ? b->least : 1) + (b->start < 0);
    bool fixed = b->parts <= 0 && b->rows != MEGA_TEXT_EOS && b->rows != MEGA_TEXT_DOCUMENT;
    if (!b->batching.shuffle || !fixed || tokens >= needed) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s: the text has %lld tokens, one row needs %lld (task.length): give more text or a "
        "smaller length",
        what, (long long)tokens, (long long)needed);
}

static mega_status check_rows(const struct mega_text_batches *t, const char *what)
{
    const struct mega_slice *s = &t->rows.slice;
    if (!t->rows.rows)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s: of %lld tokens none can be scored: each begins a document without a start "
            "token (task.start)",
            what, (long long)(s->to - s->from));
    int64_t longest = t->b.batching.longest;
    for (int64_t i = 0; longest > 0 && !t->b.segment && i < t->rows.rows; i++) {
        int64_t n = t->lengths.start[i + 1] - t->lengths.start[i];
        if (n <= longest) continue;
        const struct mega_stretch *at = &t->rows.span[mega_text_rows_first(&t->rows, i)];
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s: a row of %lld tokens (document %lld), the model takes %lld: choose task.rows "
            "(document and packed cut long documents) and task.length for it",
            what, (long long)n, (long long)mega_corpus_document_at(s->corpus, at->from) + 1,
            (long long)longest);
    }
    return MEGA_OK;
}

static mega_status find_lengths(struct mega_text_batches *t, int64_t *longest)
{
    struct mega_examples *e = &t->lengths;
    e->n = t->rows.rows;
    e->start = malloc((size_t)(e->n + 1) * sizeof *e->start);
    if (!e->start) return mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows", (long long)e->n);
    e->start[0] = 0;
    *longest = 0;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t n = mega_text_rows_length(&t->rows, i, t->align);
        e->start[i + 1] = e->start[i] + n;
        if (n > *longest) *longest = n;
    }
    return MEGA_OK;
}

static int64_t longest_of(const struct mega_text_batches *t, int64_t group)
{
    int64_t longest = 0;
    for (int64_t i = t->plan.first[group]; i < t->plan.first[group + 1]; i++) {
        int64_t row = t->plan.order[i], n = t->lengths.start[row + 1] - t->lengths.start[row];
        if (n > longest) longest = n;
    }
    return longest;
}

static mega_status count_steps(struct mega_text_batches *t)
{
    if (t->b.segment <= 0) return MEGA_OK;
    int64_t n = t->plan.batches;
    t->step = malloc((size_t)(n + 1) * sizeof *t->step);
    if (!t->step) return mega_fail(MEGA_NO_MEMORY, "no memory for %lld batches", (long long)n);
    t->step[0] = 0;
    for (int64_t g = 0; g < n; g++)
        t->step[g + 1] = t->step[g] + (longest_of(t, g) + t->b.segment - 1) / t->b.segment;
    return MEGA_OK;
}

static mega_status open_rows(struct mega_text_batches *t, const char *what,
    const struct mega_slice *slice, int64_t epoch)
{
    uint64_t seed = mega_hash_join(t->b.batching.seed, (uint64_t)epoch);
    struct mega_batching *b = &t->b.batching;
    int64_t longest = 0, multiple = b->multiple > 0 ? b->multiple : 1;
    if (t->b.segment > 0 && t->b.window > 0)
        return mega_fail(MEGA_INTERNAL, "%s: windows do not come in steps", what);
    MEGA_TRY(check_size(what, slice, &t->b));
    MEGA_TRY(mega_text_rows_make(&t->rows, slice, &t->b, seed));
    MEGA_TRY(find_lengths(t, &longest));
    MEGA_TRY(check_rows(t, what));
    if (t->b.segment > 0) {
        if (longest > t->b.segment) longest = t->b.segment;
        /* a limit of places holds for a step, not for the text of a stream */
        if (b->tokens > 0 && b->rows * longest > b->tokens)
            b->rows = b->tokens > longest ? b->tokens / longest : 1;
        b->tokens = 0;
    }
    /* rows of full length are not padded to the grid of lengths */
    longest = (longest + multiple - 1) / multiple * multiple;
    if (!b->longest || b->longest > longest) b->longest = longest;
    MEGA_TRY(mega_plan_make(&t->plan, b, &t->lengths, epoch));
    return count_steps(t);
}

mega_status mega_text_batches_open(struct mega_text_batches **out, const char *what,
    const struct mega_slice *slice, const struct mega_text_batching *batching, int64_t epoch)
{
    *out = NULL;
    struct mega_text_batches *t = calloc(1, sizeof *t);
    if (!t) return mega_fail(MEGA_NO_MEMORY, "no memory for batches of %s", what);
    t->b = *batching;
    if (t->b.batching.rows < 1) t->b.batching.rows = 1;
    if (t->b.batching.accumulate < 1) t->b.batching.accumulate = 1;
    t->align = batching->rows == MEGA_TEXT_PACKED && batching->align > 0 ? batching->align : 1;
    mega_status status = open_rows(t, what, slice, epoch);
    if (status)
        mega_text_batches_close(t);
    else
        *out = t;
    return status;
}

/* ---- asking ---- */

int64_t mega_text_batches_count(const struct mega_text_batches *t)
{
    return t->step ? t->step[t->plan.batches] : t->plan.batches;
}

int64_t mega_text_batches_rows(const struct mega_text_batches *t)
{
    return t->rows.rows;
}

int64_t mega_text_batches_updates(const struct mega_text_batches *t)
{
    int64_t k = t->b.batching.accumulate;
    return (mega_text_batches_count(t) + k - 1) / k;
}

struct mega_text_where mega_text_where_of(const struct mega_text_batches *t, int64_t batch)
{
    struct mega_text_where w = { .group = batch };
    if (t->step) {
        int64_t low = 0, high = t->plan.batches;
        while (high - low > 1) {
            int64_t middle = low + (high - low) / 2;
            if (t->step[middle] <= batch)
                low = middle;
            else
                high = middle;
        }
        w.group = low;
        w.step = batch - t->step[low];
    }
    w.from = t->plan.first[w.group];
    w.to = t->plan.first[w.group + 1];
    w.begin = w.step * t->b.segment;
    w.places = longest_of(t, w.group) - w.begin;
    if (t->step && w.places > t->b.segment) w.places = t->b.segment;
    return w;
}

int64_t mega_text_where_places(
    const struct mega_text_batches *t, const struct mega_text_where *w)
{
    return mega_padded_length(&t->b.batching, w->places);
}

void mega_text_batches_largest(
    const struct mega_text_batches *t, int64_t *rows, int64_t *places)
{
    *rows = *places = 0;
    for (int64_t g = 0; g < t->plan.batches; g++) {
        struct mega_text_where w = mega_text_where_of(t, t->step ? t->step[g] : g);
        int64_t n = w.to - w.from, T = mega_text_where_places(t, &w);
        if (n * T <= *rows * *places) continue;
        *rows = n;
        *places = T;
    }
}

struct mega_stretch mega_text_where_part(
    const struct mega_text_where *w, const struct mega_stretch *s, int64_t at)
{
    int64_t from = w->begin > at ? w->begin - at : 0, to = w->begin + w->places - at;
    if (to > s->n) to = s->n;
    return to > from ? (struct mega_stretch){ s->from + from, to - from }
                     : (struct mega_stretch){ s->from, 0 };
}

void mega_text_where_units(const struct mega_text_batches *t, const struct mega_text_where *w,
    struct mega_text_units *u)
{
    const struct mega_corpus *c = t->rows.slice.corpus;
    u->passes++;
    u->rows += w->to - w->from;
    for (int64_t i = w->from; i < w->to; i++) {
        int64_t row = t->plan.order[i], k = mega_text_rows_first(&t->rows, row),
                end = mega_text_rows_first(&t->rows, row + 1), at = 0;
        for (; k < end; k++) {
            const struct mega_stretch *s = &t->rows.span[k];
            at = (at + t->align - 1) / t->align * t->align + t->rows.before;
            struct mega_stretch p = mega_text_where_part(w, s, at);
            int64_t context = mega_text_rows_context(&t->rows, row);
            at += s->n + t->rows.after;
            u->tokens += p.n;
            if (p.n <= context) continue;
            u->targets += p.n - context;
            u->bytes += mega_corpus_bytes_before(c, p.from + p.n) -
                        mega_corpus_bytes_before(c, p.from + context);
        }
    }
}

struct mega_text_units mega_text_batches_units(
    const struct mega_text_batches *t, int64_t batch, int64_t passes)
{
    struct mega_text_units u = { 0 };
    int64_t count = mega_text_batches_count(t),
            end = batch + passes < count ? batch + passes : count;
    for (int64_t i = batch; i < end; i++) {
        struct mega_text_where w = mega_text_where_of(t, i);
        mega_text_where_units(t, &w, &u);
    }
    u.last = end == count;
    return u;
}

struct mega_text_totals mega_text_batches_totals(const struct mega_text_batches *t)
{
    const struct mega_slice *s = &t->rows.slice;
    struct mega_text_totals sum = {
        .tokens = s->to - s->from, .unscored = t->rows.unscored, .dropped = t->rows.dropped
    };
    for (int64_t i = 0; i < mega_text_batches_count(t); i++) {
        struct mega_text_where w = mega_text_where_of(t, i);
        struct mega_text_units u = { 0 };
        mega_text_where_units(t, &w, &u);
        sum.targets += u.targets;
        sum.bytes += u.bytes;
        sum.places += (w.to - w.from) * mega_text_where_places(t, &w);
    }
    return sum;
}
