#include "optim/span.h"

/* elements; large against the cost of a lane, small enough that a core keeps busy with many */
enum { PIECE = 1 << 15 };

struct walk {
    const struct mega_span *span;
    int n;
    mega_span_visit *visit;
    void *arg;
};

static int64_t end_of(const struct mega_span *s)
{
    return s->offset + s->count;
}

static int64_t pieces(const struct mega_span *span, int n)
{
    return n ? (end_of(&span[n - 1]) + PIECE - 1) / PIECE : 0;
}

/* the first span that ends behind `at` */
static int first_behind(const struct walk *w, int64_t at)
{
    int low = 0, high = w->n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (end_of(&w->span[middle]) > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void walk_piece(void *arg, int64_t piece, struct mega_arena *scratch)
{
    (void)scratch;
    const struct walk *w = arg;
    int64_t start = piece * PIECE, stop = start + PIECE;
    for (int s = first_behind(w, start); s < w->n && w->span[s].offset < stop; s++) {
        int64_t begin = w->span[s].offset, end = end_of(&w->span[s]);
        if (begin < start) begin = start;
        if (end > stop) end = stop;
        if (begin < end) w->visit(w->arg, &w->span[s], begin, end, piece + s);
    }
}

void mega_span_walk(struct mega_work *work, const struct mega_span *span, int n_spans,
    double cost, mega_span_visit *visit, void *arg)
{
    struct walk w = { span, n_spans, visit, arg };
    int64_t n = pieces(span, n_spans);
    mega_lanes(work, n, cost * (double)n * PIECE, walk_piece, &w);
}

int64_t mega_span_slots(const struct mega_span *span, int n_spans)
{
    return pieces(span, n_spans) + n_spans;
}

int64_t mega_span_slots_of(const struct mega_span *span, int s, int64_t *first)
{
    int64_t from = span[s].offset / PIECE;
    *first = from + s;
    return span[s].count ? (end_of(&span[s]) - 1) / PIECE - from + 1 : 0;
}
