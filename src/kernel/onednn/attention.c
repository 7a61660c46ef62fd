/* attention in float32, exact, by strips of scores (attention.h): two products a strip forward,
 * five backward, where scores are computed again. Nothing is kept.
 *
 *   o = (w m) v,   dv = (w m)^T do,   dw = (do v^T) m,   ds = dw f'(s),   dq = ds k / divisor,
 *   dk = ds^T q / divisor,   dbias[j - i] = sum of ds                        m: factors of
 * dropout
 *
 * Backward, a lane is a group of one window's strips, with dk, dv and dbias of its own; they
 * are summed in the lanes' order. */
#include <string.h>

#include "kernel/onednn/attention.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };
enum { MOST_GROUPS = 8 }; /* of a window's strips */

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "gives no weights out";
    if (((const struct mega_attr_attention *)c->attr)->weights) return false;
    *why = "float32 only";
    for (int i = Q; i <= PAST_V; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    return c->out[0]->dtype == MEGA_F32;
}

static double cost_of(const struct attention_plan *p)
{
    return (double)(p->c->rows->B * p->T) * (double)mega_window_most(p->c) *
           (double)(p->Z + p->E) / 8;
}

static void apply_factors(
    const struct attention_plan *p, const struct attention_strip *s, struct mega_matrix a)
{
    for (int64_t r = 0; p->drops && r < s->m; r++)
        p->f->multiply(
            mega_matrix_row(a, r), mega_matrix_row(a, r), mega_matrix_row(s->factor, r), s->n);
}

/* ---- forward ---- */

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct attention_plan *p = arg;
    const struct attention_span *span = attention_find(p, lane);
    int64_t query = span->first + (lane - span->lane) * attention_queries(&span->window);
    struct attention_strip s = attention_strip(p, span, query, false, scratch);
    apply_factors(p, &s, s.weight);
    mega_gemm("NN", s.m, p->E, s.n, s.weight, s.v,
        mega_matrix_of(p->c->out[0], span->b * p->T + query, 0), false);
}

static void forward(const struct mega_call *c)
{
    struct attention_plan p = attention_plan(c, 0);
    mega_lanes(c->work, p.lanes, cost_of(&p), forward_lane, &p);
}

/* ---- backward ---- */

struct backward {
    struct attention_plan p;
    struct mega_grads *g;
    char *room;              /* one share a lane */
    int64_t keys, distances; /* of the longest window: its keys of this call; differences j - i
                                on each side */
};

/* a lane's sums: dk [keys, Z], dv [keys, E] from the window's first key of this call on; dbias,
 * its middle */
struct sums {
    struct mega_matrix dk, dv;
    float *dbias;
};

static size_t share_bytes(const struct backward *b)
{
    return mega_matrix_bytes(b->keys, b->p.Z) + mega_matrix_bytes(b->keys, b->p.E) +
           mega_matrix_bytes(1, 2 * b->distances + 1);
}

static struct sums share(const struct backward *b, int64_t lane)
{
    char *at = b->room + (size_t)lane * share_bytes(b);
    struct sums s;
    s.dk = mega_matrix_over(at, b->p.Z);
    at += mega_matrix_bytes(b->keys, b->p.Z);
    s.dv = mega_matrix_over(at, b->p.E);
    at += mega_matrix_bytes(b->keys, b->p.E);
    s.dbias = (float *)(void *)at + b->distances;
    return s;
}

/* dw becomes ds, row by row; s: scores, needed where the slope is not the weight itself */
static void score_gradients(
    const struct attention_plan *p, const struct attention_strip *s, struct mega_matrix d)
{
    for (int64_t r = 0; r < s->m; r++) {
        float *dw = mega_matrix_row(d, r), *w = mega_matrix_row(s->weight, r),
              *x = mega_matrix_row(s->score, r);
        switch (p->a->fn) {
        case MEGA_ATTENTION_SOFTMAX: {
            float mean = p->f->dot(w, dw, s->n);
            p->f->multiply(dw, dw, w, s->n);
            p->f->add_scaled(dw, w, -mean, s->n);
            break;
        }
        case MEGA_ATTENTION_LAPLACE: p->f->laplace_slope(dw, dw, x, s->n); break;
        case MEGA_ATTENTION_RELU2: p->f->relu2_slope(dw, dw, x, s->n); break;
        }
        /* a hidden weight is 0, whatever its slope */
        if (p->a->fn != MEGA_ATTENTION_SOFTMAX) attention_hide(p, s, r, dw, 0);
    }
}

/* the part of a strip's keys that lies in this call */
struct part {
    int64_t skip, n; /* keys before it; its keys */
};

static struct part part_of(const struct attention_strip *s)
{
    struct part k = { .skip = s->from < 0 ? -s->from : 0 };
    k.n = s->n - k.skip;
    return k;
}

static struct mega_matrix from_column(struct mega_matrix a, int64_t column)
{
    return (struct mega_matrix){ a.at + column, a.stride };
}

static void strip_backward(const struct backward *b, const struct attention_strip *s,
    struct sums *sums, struct mega_arena *scratch)
{
    const struct attention_plan *p = &b->p;
    const struct mega_call *c = p->c;
    int64_t row = s->span->b * p->T + s->query;
    struct mega_matrix q = mega_matrix_of(c->in[Q], row, 0),
                       dy = mega_matrix_of(b->g->out[0], row, 0);
    struct mega_matrix d = mega_matrix_scratch(scratch, s->m, s->n);
    struct part keys = part_of(s);

    mega_gemm("NT", s->m, s->n, p->E, dy, s->v, d, false);
    apply_factors(p, s, d);
    score_gradients(p, s, d);
    if (b->g->in[V]) {
        struct mega_matrix w = s->weight;
        apply_factors(p, s, w);
        mega_gemm("TN", keys.n, p->E, s->m, from_column(w, keys.skip), dy, sums->dv, true);
    }
    for (int64_t r = 0; r < s->m; r++) {
        float *ds = mega_matrix_row(d, r);
        if (p->bias && b->g->in[BIAS])
            p->f->add_scaled(sums->dbias + s->from - (s->query + r), ds, 1, s->n);
        p->f->scale(ds, ds, (float)(1 / attention_divisor(p, s, r)), s->n);
    }
    if (b->g->in[Q])
        mega_gemm("NN", s->m, p->Z, s->n, d, s->k, mega_matrix_of(b->g->in[Q], row, 0),
            b->g->add >> Q & 1);
    if (b->g->in[K])
        mega_gemm("TN", keys.n, p->Z, s->m, from_column(d, keys.skip), q, sums->dk, true);
}

static int64_t first_key(const struct attention_span *span)
{
    return span->window.from > 0 ? span->window.from : 0;
}

static void backward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    const struct attention_span *span = attention_find(&b->p, lane);
    int64_t each = attention_queries(&span->window), group = lane - span->lane;
    int64_t strips = (span->end - span->first + each - 1) / each;
    struct sums sums = share(b, lane);
    memset(b->room + (size_t)lane * share_bytes(b), 0, share_bytes(b));
    size_t mark = mega_arena_mark(scratch);
    for (int64_t i = strips * group / span->lanes; i < strips * (group + 1) / span->lanes;
         i++) {
        struct attention_strip s = attention_strip(
            &b->p, span, span->first + i * each, b->p.a->fn != MEGA_ATTENTION_SOFTMAX, scratch);
        strip_backward(b, &s, &sums, scratch);
        mega_arena_release(scratch, mark);
    }
}

static void give(
    const struct backward *b, int i, int64_t row, struct mega_matrix from, int64_t at, bool add)
{
    float *to = mega_row(b->g->in[i], row);
    int64_t width = mega_width(b->g->in[i]);
    if (add)
        b->p.f->add_scaled(to, mega_matrix_row(from, at), 1, width);
    else
        memcpy(to, mega_matrix_row(from, at), (size_t)width * sizeof *to);
}

/* sums the groups of one window; every key of this call belongs to one window alone */
static void total_lane(void *arg, int64_t which, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    const struct attention_span *span = &b->p.span[which];
    for (int64_t j = first_key(span); j < span->window.to; j++)
        for (int64_t k = 0; k < span->lanes; k++) {
            struct sums sums = share(b, span->lane + k);
            int64_t row = span->b * b->p.T + j, at = j - first_key(span);
            if (b->g->in[K]) give(b, K, row, sums.dk, at, k || (b->g->add >> K & 1));
            if (b->g->in[V]) give(b, V, row, sums.dv, at, k || (b->g->add >> V & 1));
        }
}

static void total_bias(const struct backward *b)
{
    mega_tensor *g = b->g->in[BIAS];
    if (!g) return;
    float *middle = (float *)g->data + (mega_count(g) - 1) / 2;
    if (!(b->g->add >> BIAS & 1)) mega_tensor_zero(g);
    for (int64_t lane = 0; lane < b->p.lanes; lane++)
        b->p.f->add_scaled(middle - b->distances, share(b, lane).dbias - b->distances, 1,
            2 * b->distances + 1);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    struct backward b = { .p = attention_plan(c, MOST_GROUPS), .g = g };
    for (int64_t i = 0; i < b.p.spans; i++) {
        const struct attention_span *s = &b.p.span[i];
        int64_t keys = s->window.to - first_key(s),
                distances = s->window.to - s->window.from - 1;
        if (keys > b.keys) b.keys = keys;
        if (distances > b.distances) b.distances = distances;
    }
    b.room = mega_scratch(c->work, (size_t)b.p.lanes * share_bytes(&b));
    mega_lanes(c->work, b.p.lanes, 2 * cost_of(&b.p), backward_lane, &b);
    mega_lanes(
        c->work, b.p.spans, (double)(b.p.lanes * b.keys * (b.p.Z + b.p.E)), total_lane, &b);
    total_bias(&b);
}

const struct mega_kernel mega_onednn_attention = {
    .name = "onednn",
    .accepts = accepts,
    .forward = forward,
    .backward = backward,
};
