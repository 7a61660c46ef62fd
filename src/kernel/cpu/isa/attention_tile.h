/* What the forward and the backward pass of the attention kernel share: tiles of scores.
 *
 * A tile is a block of queries of one window against as many of its keys, in a lane's scratch.
 * More scores than a lane's tile never exist. A head is a range of columns; heads are more
 * windows. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_TILE_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_TILE_H

#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/vector_math.h"
#include "op/heads.h"
#include "op/window.h"

enum { ATTENTION_LANES = 16 }; /* backward: as many are made if the work can be cut so */

/* Queries first ... end - 1 of row b, which share a window, for the heads head ... head + heads
 * - 1, which share their keys: forward one head, backward all that read one head of keys. */
struct attention_span {
    struct mega_window window;
    int64_t b, first, end;
    int64_t head, heads;
    int64_t lo, hi;      /* the window's real keys lie in lo ... hi - 1 */
    bool holes;          /* but not all of these are real */
    int64_t lane, lanes; /* the first of its lanes, and how many */
};

struct attention_plan {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    struct mega_heads n;
    int64_t tile;                   /* queries of a block, and keys */
    int64_t Z, E, T;                /* Z, E: widths of one head */
    const float *bias;              /* its middle: bias[j - i]; NULL: none */
    uint64_t key;                   /* of the draws */
    bool drops, hides;              /* dropout of weights, of keys */
    const struct mega_pairs *pairs; /* products round to bfloat16; NULL: they do not */
    struct attention_span *span;
    int64_t spans, lanes;
};

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

/* ---- the plan ---- */

static inline struct attention_span span_at(const struct mega_call *c, int64_t b, int64_t i)
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
static inline int64_t shares(const struct attention_plan *p, const struct attention_span *s)
{
    enum { MOST = 8 }; /* each has a dq of its own */
    int64_t tiles = pieces(s->hi - s->lo, p->tile);
    int64_t wanted = least((ATTENTION_LANES + p->spans - 1) / p->spans, MOST);
    return tiles < 1 ? 1 : least(tiles, wanted);
}

static inline int64_t blocks(const struct attention_plan *p, const struct attention_span *s)
{
    return pieces(s->end - s->first, p->tile);
}

/* visits all windows, once for each head or group of heads; fills p->span if it is there */
static inline void list(struct attention_plan *p, bool backward)
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
                s.lanes = backward ? shares(p, &s) : blocks(p, &s);
                p->lanes += s.lanes;
                p->span[n] = s;
            }
        }
    p->spans = n;
}

/* Lists the windows of a call, for each head or group of heads, in the call's scratch. A lane
 * forward is a block of queries; backward it is a window, or a share of the tiles of a window's
 * keys. */
static inline struct attention_plan plan_of(const struct mega_call *c, bool backward)
{
    const mega_tensor *bias = c->in[BIAS];
    struct attention_plan p = { .c = c,
        .a = c->attr,
        .n = mega_heads_of(c),
        .tile = block_rows(c),
        .T = c->rows->T,
        .bias = bias ? (const float *)bias->data + (mega_count(bias) - 1) / 2 : NULL,
        .key = mega_draw_key(c) };
    p.Z = p.n.d;
    p.E = p.n.dv;
    p.drops = mega_dropout_acts(c, p.a->dropout) && !p.a->drop_keys;
    p.hides = mega_dropout_acts(c, p.a->dropout) && p.a->drop_keys;
    p.pairs = c->rounded ? pair_products() : NULL;
    list(&p, backward);
    p.span = mega_scratch(c->work, (size_t)(p.spans + 1) * sizeof *p.span);
    list(&p, backward);
    return p;
}

static inline const struct attention_span *find_span(
    const struct attention_plan *p, int64_t lane)
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

static inline void clear(float *from, const float *to)
{
    if (from < to) memset(from, 0, (size_t)(to - from) * sizeof *from);
}

struct attention_queries {
    const struct attention_span *span;
    int64_t head;
    int64_t first, m;     /* queries first ... first + m - 1 */
    struct mega_matrix q; /* [m, Z], divided by what divides the scores */
    float *by; /* [m], where q is as it came: what the scores are multiplied by; else NULL */
};

static inline struct attention_queries queries_of(const struct attention_plan *p,
    const struct attention_span *span, int64_t head, int64_t first, struct mega_arena *scratch)
{
    struct attention_queries q = {
        .span = span, .head = head, .first = first, .m = least(span->end - first, p->tile)
    };
    struct mega_matrix from = mega_matrix_of(p->c->in[Q], span->b * p->T + first, head * p->Z);
    if (p->pairs) {
        /* divided later, it is rounded but once */
        q.q = from;
        q.by = mega_arena_get(scratch, (size_t)q.m * sizeof *q.by);
    } else {
        q.q = mega_matrix_scratch(scratch, q.m, p->Z);
    }
    for (int64_t r = 0; r < q.m; r++) {
        float by = (float)(1 / mega_window_divisor(p->c, &span->window, first + r));
        if (q.by)
            q.by[r] = by;
        else
            row_functions->scale(mega_matrix_row(q.q, r), mega_matrix_row(from, r), by, p->Z);
    }
    return q;
}

/* The row of q, v and o that query r of a block has. */
static inline int64_t query_row(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return q->span->b * p->T + q->first + r;
}

/* Where the sum of query r's softmax is kept: [B, T, H]. */
static inline int64_t sum_row(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return query_row(p, q, r) * p->n.H + q->head;
}

struct attention_keys {
    int64_t first, n;
    struct mega_matrix k, v; /* [n, Z], [n, E] */
};

/* The tile of keys that begins at `first`, at most up to `end`: neighbours in memory, in this
 * call or in a stream's past. */
static inline struct attention_keys keys_of(const struct attention_plan *p,
    const struct attention_span *span, int64_t first, int64_t end)
{
    struct attention_keys k = { .first = first, .n = least(end - first, p->tile) };
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

/* The end of the keys that a block of queries sees. */
static inline int64_t end_of(const struct attention_plan *p, const struct attention_queries *q)
{
    return p->a->causal ? least(q->span->hi, q->first + q->m) : q->span->hi;
}

/* How many keys of a tile query r of a block sees (holes aside). */
static inline int64_t seen_by(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r)
{
    if (!p->a->causal) return k->n;
    int64_t n = q->first + r + 1 - k->first;
    return n < 0 ? 0 : least(n, k->n);
}

/* ---- scores ---- */

#define ATTENTION_UNSEEN -1e15f

/* s [m, n] = q k^T, divided. A key that is not real has one far below every score: each of the
 * functions makes 0 of it, and slope 0. */
static inline void scores(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix s, struct mega_arena *scratch)
{
    enum { FEW = 4 }; /* queries for which packing the keys costs more than it saves */
    if (!p->pairs && q->m <= FEW)
        products->few(q->m, k->n, p->Z, q->q, k->k, s);
    else
        block_product(
            p->pairs, q->m, k->n, p->Z, as_it_lies(q->q), turned(k->k), s, false, scratch);
    for (int64_t r = 0; q->by && r < q->m; r++)
        row_functions->scale(mega_matrix_row(s, r), mega_matrix_row(s, r), q->by[r], k->n);
    for (int64_t x = 0; q->span->holes && x < k->n; x++)
        if (!mega_window_real(p->c, &q->span->window, q->span->b, k->first + x))
            for (int64_t r = 0; r < q->m; r++) mega_matrix_row(s, r)[x] = ATTENTION_UNSEEN;
}

/* The bias of query r of a block for a tile's first key; NULL: none. */
static inline const float *bias_of(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k, int64_t r)
{
    return p->bias ? p->bias + k->first - (q->first + r) : NULL;
}

/* The factors of dropout for query r of a block. */
static inline void draw(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, float *factor)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t b = q->span->b, place = mega_rows_place(rows, b);
    struct mega_draw_row d = mega_draw_keys(
        p->key, mega_rows_number(rows, b), q->head, place + q->first + r, p->a->dropout);
    row_functions->draw(factor, &d, place + k->first, k->n);
}

/* Scores s of query r whose keys dropout hides become those of keys that are not real; `factor`
 * has room for the draws. */
static inline void hide(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, float *s, int64_t n, float *factor)
{
    draw(p, q, k, r, factor);
    for (int64_t j = 0; j < n; j += VEC) {
        vec stays = vec_get(factor + j, n - j), v = vec_get(s + j, n - j);
        vec_put(s + j, vec_select(stays > 0.0f, v, vec_all(ATTENTION_UNSEEN)), n - j);
    }
}

/* scalar operations of the forward pass, as mega_lanes counts them: vectors do eight at a time
 */
static inline double cost_of(const struct attention_plan *p)
{
    return (double)(p->c->rows->B * p->T * p->n.H) * (double)mega_window_most(p->c) *
           (double)(p->Z + p->E) / 8;
}

#endif
