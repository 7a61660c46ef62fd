/* What the passes of the attention kernel share: windows, blocks of queries, tiles of keys.
 *
 * A tile is a block of queries of one window against as many of its keys, in a lane's scratch
 * (attention_score.h). More scores than a lane's tile never exist. A head is a range of
 * columns; heads are more windows. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_TILE_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_TILE_H

#include "kernel/cpu/attention_sight.h"
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/vector_math.h"
#include "op/heads.h"
#include "op/window.h"

enum { ATTENTION_LANES = 16 }; /* backward: as many are made if the work can be cut so */

enum {
    Q = MEGA_ATTENTION_Q,
    K = MEGA_ATTENTION_K,
    V = MEGA_ATTENTION_V,
    BIAS = MEGA_ATTENTION_BIAS,
    PAST_K = MEGA_ATTENTION_PAST_K,
    PREFIX_K = MEGA_ATTENTION_PREFIX_K,
    PREFIX_V = MEGA_ATTENTION_PREFIX_V,
    SINK = MEGA_ATTENTION_SINK
};

/* Queries first ... end - 1 of row b, which share a window, for the heads head ... head + heads
 * - 1, which share their keys: forward one head, backward all that read one head of keys. */
struct attention_span {
    struct mega_window window;
    int64_t b, first, end;
    int64_t head, heads;
    int64_t lo, hi;      /* the window's real keys lie in lo ... hi - 1 */
    int64_t prefix;      /* keys below it are seen from before, too */
    bool holes;          /* but not all of these are real */
    int64_t lane, lanes; /* the first of its lanes, and how many */
};

struct attention_plan {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    struct mega_heads n;
    int64_t tile;                   /* queries of a block, and keys */
    int64_t Z, E;                   /* widths of one head */
    int64_t T, S, N;                /* queries and keys of a row, prefix keys */
    const struct mega_rows *keys;   /* what the keys lie in */
    const float *bias;              /* its middle: bias[j - p]; NULL: none */
    int64_t bias_head;              /* numbers from one head's bias to the next */
    uint64_t key, noise;            /* of the draws */
    bool drops, hides;              /* dropout of weights, of keys */
    const struct mega_pairs *pairs; /* products round to bfloat16; NULL: they do not */
    const float *column; /* inverted, once they are known: logarithms of the keys' sums
                            over queries, [B, H, N + S] */
    struct attention_span *span;
    int64_t spans, lanes;
};

/* ---- the plan ---- */

static inline struct attention_span span_at(const struct mega_call *c, int64_t b, int64_t i)
{
    const struct mega_attr_attention *a = c->attr;
    struct attention_span s = { .b = b, .first = i };
    struct mega_window w = mega_window_from(c, b, i, &s.end);
    s.window = w;
    s.lo = w.from;
    s.hi = w.to;
    while (s.lo < s.hi && !mega_window_real(c, &w, b, s.lo)) s.lo++;
    while (s.lo < s.hi && !mega_window_real(c, &w, b, s.hi - 1)) s.hi--;
    s.holes = !w.all && w.real < s.hi - s.lo;
    s.prefix = s.lo;
    if (a->prefix > 0 && s.lo < s.hi)
        s.prefix = mega_rows_doc(mega_window_keys(c), b, w.from > 0 ? w.from : 0) + a->prefix;
    return s;
}

/* tiles of a window's keys, if they were neighbours in memory */
static inline int64_t tiles_of(const struct attention_plan *p, const struct attention_span *s)
{
    return pieces(p->N, p->tile) + pieces(s->hi - s->lo, p->tile);
}

/* shares of a window's tiles, so that all windows together give enough lanes */
static inline int64_t shares(const struct attention_plan *p, const struct attention_span *s)
{
    enum { MOST = 8 }; /* each has a dq of its own */
    int64_t tiles = tiles_of(p, s);
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
    const mega_tensor *bias = c->in[BIAS], *prefix = c->in[PREFIX_K];
    struct attention_plan p = { .c = c,
        .a = c->attr,
        .n = mega_heads_of(c),
        .tile = block_rows(c),
        .T = c->rows->T,
        .keys = mega_window_keys(c),
        .N = prefix ? prefix->dim[1] : 0,
        .key = mega_draw_key(c),
        .noise = mega_draw_noise_key(c) };
    p.S = p.keys->T;
    p.Z = p.n.d;
    p.E = p.n.dv;
    if (bias) {
        p.bias = (const float *)bias->data + (mega_width(bias) - 1) / 2;
        p.bias_head = mega_height(bias) > 1 ? bias->stride : 0;
    }
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

/* ---- queries ---- */

static inline void clear(float *from, const float *to)
{
    if (from < to) memset(from, 0, (size_t)(to - from) * sizeof *from);
}

struct attention_queries {
    const struct attention_span *span;
    int64_t head;
    int64_t first, m;     /* queries first ... first + m - 1 */
    int64_t stand;        /* where the first stands among the keys */
    struct mega_matrix q; /* [m, Z], divided by what divides the scores */
    float *by;   /* [m], where q is as it came: what the scores are multiplied by; else NULL */
    float *norm; /* [m], scores of distances: what is added for the query itself; else NULL */
};

/* What the products of query i of a span are multiplied by, to become scores. */
static inline float factor_of(
    const struct attention_plan *p, const struct attention_span *s, int64_t i)
{
    double by = 1 / mega_window_divisor(p->c, &s->window, i);
    return (float)(p->a->l2 ? 2 * by : by); /* -|q - k|^2 = 2 q k - |q|^2 - |k|^2 */
}

static inline struct attention_queries queries_of(const struct attention_plan *p,
    const struct attention_span *span, int64_t head, int64_t first, struct mega_arena *scratch)
{
    struct attention_queries q = { .span = span,
        .head = head,
        .first = first,
        .m = least(span->end - first, p->tile),
        .stand = mega_window_stand(p->c, first) };
    struct mega_matrix from = mega_matrix_of(p->c->in[Q], span->b * p->T + first, head * p->Z);
    size_t numbers = (size_t)q.m * sizeof(float);
    if (p->pairs) {
        /* divided later, it is rounded but once */
        q.q = from;
        q.by = mega_arena_get(scratch, numbers);
    } else {
        q.q = mega_matrix_scratch(scratch, q.m, p->Z);
    }
    if (p->a->l2) q.norm = mega_arena_get(scratch, numbers);
    for (int64_t r = 0; r < q.m; r++) {
        const float *row = mega_matrix_row(from, r);
        float by = factor_of(p, span, first + r);
        if (q.by)
            q.by[r] = by;
        else
            row_functions->scale(mega_matrix_row(q.q, r), row, by, p->Z);
        if (q.norm) q.norm[r] = -0.5f * by * row_functions->dot(row, row, p->Z);
    }
    return q;
}

/* The row of q, v and o that query r of a block has. */
static inline int64_t query_row(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return q->span->b * p->T + q->first + r;
}

/* Where a number of query r is kept: [B, T, H]. */
static inline int64_t kept_at(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return query_row(p, q, r) * p->n.H + q->head;
}

/* The keys of the window that queries `from` ... `to` of a block see. */
static inline struct attention_sight sight_of(
    const struct attention_plan *p, const struct attention_queries *q, int64_t from, int64_t to)
{
    const struct attention_span *s = q->span;
    return attention_sight(p->a, s->lo, s->hi, s->prefix, q->stand + from, q->stand + to);
}

/* ---- keys ---- */

/* A tile of keys: neighbours in memory, in this call, in a stream's past, or prefix keys. */
struct attention_keys {
    int64_t first, n; /* places first ... first + n - 1; of prefix keys their numbers */
    bool prefix;
    bool whole;              /* every query of the block sees all of them (holes aside) */
    int64_t tile;            /* its number in the window */
    int64_t at;              /* keys of the window before it, prefix keys included */
    struct mega_matrix k, v; /* [n, Z], [n, E] */
};

static inline struct attention_keys prefix_keys(
    const struct attention_plan *p, const struct attention_span *span, int64_t first)
{
    struct attention_keys k = {
        .first = first, .n = least(p->N - first, p->tile), .prefix = true, .whole = true
    };
    int64_t row = mega_heads_group(&p->n, span->head) * p->N + first;
    k.k = mega_matrix_of(p->c->in[PREFIX_K], row, 0);
    k.v = mega_matrix_of(p->c->in[PREFIX_V], row, 0);
    return k;
}

/* The tile of keys that begins at `first`, at most up to `end`. */
static inline struct attention_keys keys_of(const struct attention_plan *p,
    const struct attention_span *span, int64_t first, int64_t end)
{
    struct attention_keys k = { .first = first, .n = least(end - first, p->tile) };
    const mega_tensor *const *in = (const mega_tensor *const *)p->c->in;
    int which = K;
    int64_t row = span->b * p->S + first;
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

/* The one key that has so many of the window before it. */
static inline struct attention_keys key_at(
    const struct attention_plan *p, const struct attention_span *span, int64_t at)
{
    if (at < p->N) return prefix_keys(p, span, at);
    int64_t place = span->lo + at - p->N;
    return keys_of(p, span, place, place + 1);
}

/* Goes on to the next tile that a block of queries sees something of; begins with {0}. The
 * tiles of a window have the same beginnings for all its blocks. */
static inline bool next_keys(const struct attention_plan *p, const struct attention_span *span,
    struct attention_sight sight, struct attention_keys *k)
{
    int64_t at = k->at + k->n, tile = k->tile + (k->n > 0);
    for (;; at += k->n, tile++) {
        if (at < p->N) {
            *k = prefix_keys(p, span, at);
            break;
        }
        int64_t first = span->lo + at - p->N;
        if (first >= sight.to) return false;
        *k = keys_of(p, span, first, sight.to);
        k->whole = attention_sight_holds(sight, first, first + k->n);
        if (first + k->n > sight.from) break;
    }
    k->at = at;
    k->tile = tile;
    return true;
}

/* Where a number of a tile's first key is kept: [B, H, N + S]. */
static inline int64_t column_of(const struct attention_plan *p,
    const struct attention_span *span, int64_t head, const struct attention_keys *k)
{
    return (span->b * p->n.H + head) * (p->N + p->S) + (k->prefix ? 0 : p->N) + k->first;
}

/* The sight of a whole block. */
static inline struct attention_sight block_sight(
    const struct attention_plan *p, const struct attention_queries *q)
{
    return sight_of(p, q, 0, q->m - 1);
}

/* Keys from ... from + n - 1 of a tile: those that a query sees (holes aside). */
struct attention_part {
    int64_t from, n;
};

static inline struct attention_part seen_by(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k, int64_t r)
{
    if (k->whole) return (struct attention_part){ 0, k->n };
    struct attention_sight s = sight_of(p, q, r, r);
    int64_t from = s.from - k->first, to = least(s.to - k->first, k->n);
    if (from < 0) from = 0;
    return to > from ? (struct attention_part){ from, to - from }
                     : (struct attention_part){ 0, 0 };
}

/* The factors of dropout for n keys of a tile from its key `from` on and query r of a block. */
static inline void draw(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, struct attention_part part, float *factor)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t b = q->span->b, place = mega_rows_place(rows, b);
    struct mega_draw_row d = mega_draw_keys(
        p->key, mega_rows_number(rows, b), q->head, place + q->first + r, p->a->dropout);
    int64_t first = (k->prefix ? MEGA_DRAW_PREFIX : place) + k->first;
    row_functions->draw(factor, &d, first + part.from, part.n);
}

/* scalar operations of the forward pass, as mega_lanes counts them: vectors do eight at a time
 */
static inline double cost_of(const struct attention_plan *p)
{
    return (double)(p->c->rows->B * p->T * p->n.H) * (double)(mega_window_most(p->c) + p->N) *
           (double)(p->Z + p->E) / 8;
}

#endif
