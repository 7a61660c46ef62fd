#include "kernel/onednn/attention.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- the plan ---- */

static struct attention_span span_at(const struct mega_call *c, int64_t b, int64_t i)
{
    struct attention_span s = { .b = b, .first = i };
    struct mega_window w = mega_window_from(c, b, i, &s.end);
    s.window = w;
    s.lo = w.from;
    s.hi = w.to;
    while (s.lo < s.hi && !mega_window_real(c, &w, b, s.lo)) s.lo++;
    while (s.lo < s.hi && !mega_window_real(c, &w, b, s.hi - 1)) s.hi--;
    s.holes = !w.all && w.real < s.hi - s.lo;
    return s;
}

/* shares of a window's tiles, so that all windows together give enough lanes */
static int64_t shares(const struct attention_plan *p, const struct attention_span *s)
{
    enum { MOST = 8 }; /* each has a dq of its own */
    int64_t tiles = (s->hi - s->lo + ATTENTION_KEYS - 1) / ATTENTION_KEYS;
    int64_t wanted = least((ATTENTION_LANES + p->spans - 1) / p->spans, MOST);
    return tiles < 1 ? 1 : least(tiles, wanted);
}

static int64_t blocks(const struct attention_span *s)
{
    return (s->end - s->first + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES;
}

/* visits all windows, once for each head or group of heads; fills p->span if it is there */
static void list(struct attention_plan *p, bool backward)
{
    int64_t n = 0, heads = backward ? p->n.H / p->n.G : 1;
    p->lanes = 0;
    for (int64_t b = 0; b < p->c->rows->B; b++)
        for (int64_t i = 0; i < p->T;) {
            struct attention_span s = span_at(p->c, b, i);
            i = s.end;
            for (int64_t h = 0; h < p->n.H; h += heads, n++) {
                if (!p->span) continue;
                s.head = h;
                s.heads = heads;
                s.lane = p->lanes;
                s.lanes = backward ? shares(p, &s) : blocks(&s);
                p->lanes += s.lanes;
                p->span[n] = s;
            }
        }
    p->spans = n;
}

struct attention_plan attention_plan(const struct mega_call *c, bool backward)
{
    const mega_tensor *bias = c->in[BIAS];
    struct attention_plan p = { .c = c,
        .a = c->attr,
        .f = mega_cpu_rows(mega_isa_here()),
        .n = mega_heads_of(c),
        .T = c->rows->T,
        .bias = bias ? (const float *)bias->data + (mega_count(bias) - 1) / 2 : NULL,
        .key = mega_draw_key(c) };
    p.Z = p.n.d;
    p.E = p.n.dv;
    p.drops = mega_dropout_acts(c, p.a->dropout);
    list(&p, backward);
    p.span = mega_scratch(c->work, (size_t)(p.spans + 1) * sizeof *p.span);
    list(&p, backward);
    return p;
}

const struct attention_span *attention_find(const struct attention_plan *p, int64_t lane)
{
    int64_t low = 0, high = p->spans - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (p->span[middle].lane <= lane)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->span[low];
}

/* ---- queries and keys ---- */

struct attention_queries attention_queries(const struct attention_plan *p,
    const struct attention_span *span, int64_t head, int64_t first, struct mega_arena *scratch)
{
    struct attention_queries q = { .span = span,
        .head = head,
        .first = first,
        .m = least(span->end - first, ATTENTION_QUERIES) };
    struct mega_matrix from = mega_matrix_of(p->c->in[Q], span->b * p->T + first, head * p->Z);
    q.q = mega_matrix_scratch(scratch, q.m, p->Z);
    for (int64_t r = 0; r < q.m; r++)
        p->f->scale(mega_matrix_row(q.q, r), mega_matrix_row(from, r),
            (float)(1 / mega_window_divisor(p->c, &span->window, first + r)), p->Z);
    return q;
}

struct attention_keys attention_keys(const struct attention_plan *p,
    const struct attention_span *span, int64_t first, int64_t end)
{
    struct attention_keys k = { .first = first, .n = least(end - first, ATTENTION_KEYS) };
    const mega_tensor *const *in = (const mega_tensor *const *)p->c->in;
    int which = K;
    int64_t row = span->b * p->T + first;
    if (first < 0) {
        /* the past ends where this call begins, and goes round in its log */
        int64_t places = in[PAST_K]->dim[1];
        int64_t place = (mega_rows_place(p->c->rows, span->b) + first) % places;
        k.n = least(k.n, least(-first, places - place));
        which = PAST_K;
        row = span->b * places + place;
    }
    int64_t group = mega_heads_group(&p->n, span->head);
    k.k = mega_matrix_of(in[which], row, group * p->Z);
    k.v = mega_matrix_of(in[which + 1], row, group * p->E);
    return k;
}

int64_t attention_end(const struct attention_plan *p, const struct attention_queries *q)
{
    return p->a->causal ? least(q->span->hi, q->first + q->m) : q->span->hi;
}

int64_t attention_seen(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r)
{
    if (!p->a->causal) return k->n;
    int64_t n = q->first + r + 1 - k->first;
    return n < 0 ? 0 : least(n, k->n);
}

/* ---- scores ---- */

static void hide_holes(const struct attention_plan *p, const struct attention_span *span,
    const struct attention_keys *k, float *s, int64_t n)
{
    /* far below every score; each of the functions makes 0 of it, and slope 0 */
    const float hidden = -1e15f;
    for (int64_t x = 0; x < n; x++)
        if (!mega_window_real(p->c, &span->window, span->b, k->first + x)) s[x] = hidden;
}

void attention_scores(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix s)
{
    mega_gemm("NT", q->m, k->n, p->Z, q->q, k->k, s, false);
    if (!p->bias && !q->span->holes) return;
    for (int64_t r = 0; r < q->m; r++) {
        float *row = mega_matrix_row(s, r);
        int64_t n = attention_seen(p, q, k, r);
        if (p->bias) p->f->add_scaled(row, p->bias + k->first - (q->first + r), 1, n);
        if (q->span->holes) hide_holes(p, q->span, k, row, n);
    }
}

void attention_draw(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, float *factor)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t b = q->span->b, place = mega_rows_place(rows, b);
    struct mega_draw_row d = mega_draw_keys(
        p->key, mega_rows_number(rows, b), q->head, place + q->first + r, p->a->dropout);
    p->f->draw(factor, &d, place + k->first, k->n);
}
