/* Packing and windows: rows made of other rows' spans. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/text_rows.h"

/* ---- packing ---- */

enum { OPEN = 64 }; /* rows that are being filled */

struct open_row {
    int64_t used;        /* places */
    int64_t first, last; /* spans, a list by `next` */
};

struct packing {
    struct mega_text_rows *rows;
    int64_t length, align, frame; /* length: places of a row, frames of its spans included */
    struct open_row open[OPEN];
    int n;
    int64_t *next; /* [spans] */
    /* what is finished */
    struct mega_stretch *span;
    int64_t *first, *number;
    int64_t spans, done;
};

static int64_t aligned(const struct packing *p, int64_t place)
{
    return (place + p->align - 1) / p->align * p->align;
}

static void close_row(struct packing *p, int which)
{
    for (int64_t i = p->open[which].first; i >= 0; i = p->next[i]) {
        p->number[p->spans] = i;
        p->span[p->spans++] = p->rows->span[i];
    }
    p->first[++p->done] = p->spans;
    p->open[which] = p->open[--p->n];
}

/* the fullest of the open rows that n more places fit into; -1: there is none */
static int best_row(const struct packing *p, int64_t n)
{
    int best = -1;
    for (int i = 0; i < p->n; i++)
        if (aligned(p, p->open[i].used) + n <= p->length &&
            (best < 0 || p->open[i].used > p->open[best].used))
            best = i;
    return best;
}

static int fullest_row(const struct packing *p)
{
    int best = 0;
    for (int i = 1; i < p->n; i++)
        if (p->open[i].used > p->open[best].used) best = i;
    return best;
}

static void place(struct packing *p, int64_t span)
{
    int64_t n = p->rows->span[span].n + p->frame;
    int row = best_row(p, n);
    p->next[span] = -1;
    if (row < 0) {
        if (p->n == OPEN) close_row(p, fullest_row(p));
        row = p->n++;
        p->open[row] = (struct open_row){ n, span, span };
    } else {
        struct open_row *o = &p->open[row];
        p->next[o->last] = span;
        o->last = span;
        o->used = aligned(p, o->used) + n;
    }
    if (aligned(p, p->open[row].used) >= p->length) close_row(p, row);
}

static void shuffle(int64_t *item, int64_t n, uint64_t seed)
{
    struct mega_rng g;
    mega_rng_start(&g, seed, mega_hash_text("packing"));
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = mega_rng_below(&g, (uint32_t)(i + 1)), t = item[i];
        item[i] = item[k];
        item[k] = t;
    }
}

mega_status mega_text_rows_pack(
    struct mega_text_rows *r, int64_t length, int64_t align, bool shuffled, uint64_t seed)
{
    int64_t frame = r->before + r->after;
    struct packing p = { .rows = r, .length = length + frame, .align = align, .frame = frame };
    size_t n = (size_t)r->spans + 2;
    int64_t *order = malloc(n * sizeof *order);
    p.next = malloc(n * sizeof *p.next);
    p.span = malloc(n * sizeof *p.span);
    p.first = malloc(n * sizeof *p.first);
    p.number = malloc(n * sizeof *p.number);
    if (!order || !p.next || !p.span || !p.first || !p.number) {
        free(order);
        free(p.next);
        free(p.span);
        free(p.first);
        free(p.number);
        return mega_fail(
            MEGA_NO_MEMORY, "no memory to pack %lld documents", (long long)r->spans);
    }
    p.first[0] = 0;
    for (int64_t i = 0; i < r->spans; i++) order[i] = i;
    if (shuffled) shuffle(order, r->spans, seed);
    for (int64_t i = 0; i < r->spans; i++) place(&p, order[i]);
    while (p.n) close_row(&p, 0);
    free(order);
    free(p.next);
    free(r->span);
    r->span = p.span;
    r->room = (int64_t)n;
    r->first = p.first;
    r->number = p.number;
    r->rows = p.done;
    return MEGA_OK;
}

/* ---- windows ---- */

/* calls for each window of n targets; how many there are */
static int64_t windows_of(
    const struct mega_stretch *s, int64_t window, int64_t stride, struct mega_text_rows *to)
{
    int64_t count = 0, scored = 0;
    for (int64_t begin = 0;; begin += stride, count++) {
        int64_t end = begin + window < s->n ? begin + window : s->n;
        if (to) {
            to->context[to->spans] = scored - begin;
            to->span[to->spans++] = (struct mega_stretch){ s->from + begin, end - begin };
        }
        scored = end;
        if (end == s->n) return count + 1;
    }
}

mega_status mega_text_rows_window(struct mega_text_rows *r, int64_t window, int64_t stride)
{
    int64_t n = 0;
    if (r->first || stride < 1 || stride > window)
        return mega_fail(MEGA_INTERNAL, "windows of %lld by %lld over these rows",
            (long long)window, (long long)stride);
    for (int64_t i = 0; i < r->spans; i++) n += windows_of(&r->span[i], window, stride, NULL);
    struct mega_text_rows w = { .slice = r->slice,
        .span = malloc((size_t)(n + 1) * sizeof *w.span),
        .context = malloc((size_t)(n + 1) * sizeof *w.context),
        .room = n + 1,
        .unscored = r->unscored,
        .dropped = r->dropped };
    if (!w.span || !w.context) {
        mega_text_rows_done(&w);
        return mega_fail(MEGA_NO_MEMORY, "no memory for %lld windows", (long long)n);
    }
    for (int64_t i = 0; i < r->spans; i++) windows_of(&r->span[i], window, stride, &w);
    w.rows = w.spans;
    mega_text_rows_done(r);
    *r = w;
    return MEGA_OK;
}
