/* The attention kernel, backward. The mathematics stands in attention_forward.c. */
#include "kernel/cpu/isa/attention.h"

#include "kernel/cpu/isa/attention_tile.h"

struct backward {
    struct attention_plan p;
    struct mega_grads *g;
    struct share *share; /* [lanes] */
};

/* What a lane sums for itself. dk and dv need none of this: a key's tiles belong to one lane.
 */
struct share {
    float *dq;    /* [queries of the window, heads of the span, Z]; NULL: the window's only lane
                     writes dq itself */
    float *dbias; /* its middle; NULL: not wanted */
};

/* A block of queries on its way through the tiles of a lane. */
struct block {
    const struct backward *b;
    const struct share *share;
    struct attention_queries q;
    struct mega_matrix dy, s, d, dq;
    float *mean;   /* of each query: sum of w dw; NULL: all its keys are in one tile */
    float *factor; /* [keys] */
    bool begun;    /* dq holds something */
};

static struct mega_matrix output_gradient(
    const struct backward *b, const struct attention_queries *q, struct mega_arena *scratch)
{
    struct mega_matrix dy =
        mega_matrix_of(b->g->out[0], query_row(&b->p, q, 0), q->head * b->p.E);
    if (!mega_matrix_crowded(dy)) return dy;
    struct mega_matrix copy = mega_matrix_scratch(scratch, q->m, b->p.E);
    mega_matrix_copy(copy, dy, q->m, b->p.E);
    return copy;
}

static struct block block_of(const struct backward *b, const struct share *share,
    const struct attention_span *span, int64_t head, int64_t first, struct mega_arena *scratch)
{
    const struct attention_plan *p = &b->p;
    struct block w = { .b = b, .share = share, .q = queries_of(p, span, head, first, scratch) };
    w.dy = output_gradient(b, &w.q, scratch);
    w.s = mega_matrix_scratch(scratch, w.q.m, p->tile);
    w.d = mega_matrix_scratch(scratch, w.q.m, p->tile);
    w.dq = mega_matrix_scratch(scratch, w.q.m, p->Z);
    w.factor = mega_arena_get(scratch, (size_t)p->tile * sizeof *w.factor);
    int64_t end = end_of(p, &w.q);
    if (keys_of(p, span, span->lo, end).n == end - span->lo) return w;
    /* the sum over all tiles is do o */
    w.mean = mega_arena_get(scratch, (size_t)p->tile * sizeof *w.mean);
    struct mega_matrix o = mega_matrix_of(p->c->out[0], query_row(p, &w.q, 0), head * p->E);
    for (int64_t r = 0; r < w.q.m; r++)
        w.mean[r] = row_functions->dot(mega_matrix_row(w.dy, r), mega_matrix_row(o, r), p->E);
    return w;
}

/* s: n scores become weights, divided by their sum; returns the sum of s d */
static float weights(float *s, const float *d, const float *bias, float log_sum, int64_t n)
{
    vec sum = vec_all(0);
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(s + j, n - j), dw = vec_get(d + j, n - j);
        if (bias) x += vec_get(bias + j, n - j);
        vec w = vec_exp_down(x - log_sum);
        sum += w * dw;
        vec_put(s + j, w, n - j);
    }
    return vec_sum(sum);
}

/* d, gradients of the weights w, become those of the scores; dbias += d, if it is there */
static void softmax_slope(float *d, const float *w, float mean, float *dbias, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec ds = vec_get(w + j, n - j) * (vec_get(d + j, n - j) - mean);
        vec_put(d + j, ds, n - j);
        if (dbias) vec_put(dbias + j, vec_get(dbias + j, n - j) + ds, n - j);
    }
}

/* a query's row of a tile: s becomes w m, d = do v^T becomes ds, divided where q is not */
static void row_backward(const struct block *w, const struct attention_keys *k, int64_t r)
{
    const struct attention_plan *p = &w->b->p;
    const struct mega_cpu_rows *f = row_functions;
    int64_t n = seen_by(p, &w->q, k, r);
    float *s = mega_matrix_row(w->s, r), *d = mega_matrix_row(w->d, r);
    const float *bias = bias_of(p, &w->q, k, r);
    float *dbias = w->share->dbias ? w->share->dbias + k->first - (w->q.first + r) : NULL;
    if (p->hides) hide(p, &w->q, k, r, s, n, w->factor);
    if (p->drops) {
        draw(p, &w->q, k, r, w->factor);
        f->multiply(d, d, w->factor, n);
    }
    if (p->a->fn == MEGA_ATTENTION_SOFTMAX) {
        float log_sum = ((const float *)p->c->saved[0]->data)[sum_row(p, &w->q, r)];
        float mean = weights(s, d, bias, log_sum, n);
        softmax_slope(d, s, w->mean ? w->mean[r] : mean, dbias, n);
    } else {
        if (bias) f->add_scaled(s, bias, 1, n);
        if (p->a->fn == MEGA_ATTENTION_LAPLACE) {
            f->laplace_slope(d, d, s, n);
            f->laplace(s, s, n);
        } else {
            f->relu2_slope(d, d, s, n);
            f->relu2(s, s, n);
        }
        if (dbias) f->add_scaled(dbias, d, 1, n);
    }
    if (p->drops) f->multiply(s, s, w->factor, n);
    if (w->q.by) f->scale(d, d, w->q.by[r], n);
    clear(s + n, s + k->n);
    clear(d + n, d + k->n);
}

/* zeroes gradients that are to be written, of keys from ... to - 1 of this call */
static void clear_keys(
    const struct backward *b, const struct attention_span *span, int64_t from, int64_t to)
{
    int64_t group = mega_heads_group(&b->p.n, span->head), first = from < 0 ? 0 : from;
    for (int i = K; i <= V; i++) {
        if (!b->g->in[i] || b->g->add >> i & 1) continue;
        int64_t width = i == K ? b->p.Z : b->p.E;
        for (int64_t j = first; j < to; j++) {
            float *row = (float *)mega_row(b->g->in[i], span->b * b->p.T + j) + group * width;
            clear(row, row + width);
        }
    }
}

/* Readies dk and dv of a tile for this block of queries: the first to reach them writes what is
 * not to be added to. Returns the gradients' `add` bits. */
static uint32_t begin_keys(const struct block *w, const struct attention_keys *k)
{
    const struct attention_span *span = w->q.span;
    int64_t reached = k->n; /* of the tile's keys, by blocks before this one */
    if (w->q.head == span->head) {
        if (w->q.first == span->first)
            reached = 0;
        else if (w->b->p.a->causal)
            reached = w->q.first <= k->first ? 0 : least(k->n, w->q.first - k->first);
    }
    if (!reached) return w->b->g->add;
    clear_keys(w->b, span, k->first + reached, k->first + k->n);
    return ~(uint32_t)0;
}

static void tile_backward(
    struct block *w, const struct attention_keys *k, struct mega_arena *scratch)
{
    const struct attention_plan *p = &w->b->p;
    mega_tensor *const *to = w->b->g->in;
    int64_t m = w->q.m, row = w->q.span->b * p->T + k->first,
            group = mega_heads_group(&p->n, w->q.head);
    size_t mark = mega_arena_mark(scratch);
    scores(p, &w->q, k, w->s, scratch);
    block_product(
        p->pairs, m, k->n, p->E, as_it_lies(w->dy), turned(k->v), w->d, false, scratch);
    for (int64_t r = 0; r < m; r++) row_backward(w, k, r);
    if (to[Q])
        block_product(p->pairs, m, p->Z, k->n, as_it_lies(w->d), as_it_lies(k->k), w->dq,
            w->begun, scratch);
    w->begun = true;
    uint32_t add = begin_keys(w, k);
    if (k->first >= 0 && to[K])
        block_product(p->pairs, k->n, p->Z, m, turned(w->d), as_it_lies(w->q.q),
            mega_matrix_of(to[K], row, group * p->Z), add >> K & 1, scratch);
    if (k->first >= 0 && to[V])
        block_product(p->pairs, k->n, p->E, m, turned(w->s), as_it_lies(w->dy),
            mega_matrix_of(to[V], row, group * p->E), add >> V & 1, scratch);
    mega_arena_release(scratch, mark);
}

/* dq of a block, to the share or to where it belongs */
static void give(const struct block *w)
{
    const struct attention_plan *p = &w->b->p;
    const struct attention_span *span = w->q.span;
    bool add = !w->share->dq && (w->b->g->add >> Q & 1);
    int64_t width = span->heads * p->Z;
    struct mega_matrix all =
        w->share->dq ? (struct mega_matrix){ w->share->dq + (w->q.first - span->first) * width +
                                                 (w->q.head - span->head) * p->Z,
            width }
                     : mega_matrix_of(w->b->g->in[Q], query_row(p, &w->q, 0), w->q.head * p->Z);
    for (int64_t r = 0; r < w->q.m; r++) {
        int64_t i = w->q.first + r;
        float by = w->q.by ? 1 : (float)(1 / mega_window_divisor(p->c, &span->window, i));
        float *dq = mega_matrix_row(w->dq, r), *to = mega_matrix_row(all, r);
        if (!w->begun) clear(dq, dq + p->Z);
        if (add)
            row_functions->add_scaled(to, dq, by, p->Z);
        else
            row_functions->scale(to, dq, by, p->Z);
    }
}

/* how many j - i there are for the keys and queries of a window */
static int64_t differences(const struct attention_span *s)
{
    return s->lo < s->hi ? s->hi - s->lo + s->end - s->first - 1 : 0;
}

/* the lane's tiles for the queries of one head */
static void head_backward(const struct backward *b, const struct share *share,
    const struct attention_span *span, int64_t head, int64_t mine, struct mega_arena *scratch)
{
    for (int64_t i = span->first; i < span->end; i += b->p.tile) {
        struct block w = block_of(b, share, span, head, i, scratch);
        struct attention_keys k;
        int64_t end = end_of(&b->p, &w.q);
        for (int64_t j = span->lo, tile = 0; j < end; j += k.n, tile++) {
            k = keys_of(&b->p, span, j, end);
            if (tile % span->lanes == mine) tile_backward(&w, &k, scratch);
        }
        if (b->g->in[Q]) give(&w);
        mega_arena_release(scratch, 0);
    }
}

/* a window's share of its tiles, every lanes-th, for all its queries */
static void backward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    const struct attention_span *span = find_span(&b->p, lane);
    const struct share *share = &b->share[lane];
    int64_t mine = lane - span->lane;
    if (!mine) {
        clear_keys(b, span, span->window.from, span->lo);
        clear_keys(b, span, span->hi, span->window.to);
    }
    if (share->dbias) {
        float *least = share->dbias + span->lo - (span->end - 1);
        clear(least, least + differences(span));
    }
    for (int64_t h = span->head; h < span->head + span->heads; h++)
        head_backward(b, share, span, h, mine, scratch);
}

/* sums the shares of one window's dq, in order */
static void total_lane(void *arg, int64_t which, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    const struct attention_span *span = &b->p.span[which];
    int64_t width = span->heads * b->p.Z;
    for (int64_t i = span->first; span->lanes > 1 && i < span->end; i++) {
        float *dq = (float *)mega_row(b->g->in[Q], span->b * b->p.T + i) + span->head * b->p.Z;
        if (!(b->g->add >> Q & 1)) clear(dq, dq + width);
        for (int64_t lane = span->lane; lane < span->lane + span->lanes; lane++)
            row_functions->add_scaled(
                dq, b->share[lane].dq + (i - span->first) * width, 1, width);
    }
}

static void total_bias(const struct backward *b)
{
    mega_tensor *g = b->g->in[BIAS];
    if (!(b->g->add >> BIAS & 1)) mega_tensor_zero(g);
    float *middle = (float *)g->data + (mega_count(g) - 1) / 2;
    for (int64_t i = 0; i < b->p.spans; i++) {
        const struct attention_span *s = &b->p.span[i];
        int64_t least = s->lo - (s->end - 1);
        for (int64_t lane = s->lane; lane < s->lane + s->lanes; lane++)
            row_functions->add_scaled(
                middle + least, b->share[lane].dbias + least, 1, differences(s));
    }
}

static void make_shares(struct backward *b)
{
    const struct attention_plan *p = &b->p;
    b->share = mega_scratch(p->c->work, (size_t)(p->lanes + 1) * sizeof *b->share);
    for (int64_t i = 0; i < p->spans; i++) {
        const struct attention_span *s = &p->span[i];
        size_t dq = (size_t)((s->end - s->first) * s->heads * p->Z) * sizeof(float);
        size_t dbias = (size_t)differences(s) * sizeof(float);
        for (int64_t lane = s->lane; lane < s->lane + s->lanes; lane++) {
            struct share share = { NULL, NULL };
            if (b->g->in[Q] && s->lanes > 1) share.dq = mega_scratch(p->c->work, dq);
            if (b->g->in[BIAS])
                share.dbias = (float *)mega_scratch(p->c->work, dbias) - (s->lo - (s->end - 1));
            b->share[lane] = share;
        }
    }
}

void MEGA_ISA_NAME(mega_attention_backward)(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    struct backward b = { .p = plan_of(c, true), .g = g };
    make_shares(&b);
    mega_lanes(c->work, b.p.lanes, 2 * cost_of(&b.p), backward_lane, &b);
    if (g->in[Q])
        mega_lanes(c->work, b.p.spans, (double)(b.p.lanes * b.p.T * b.p.Z) / 8, total_lane, &b);
    if (g->in[BIAS]) total_bias(&b);
}
