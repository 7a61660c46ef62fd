/* attention in float32, exact, by tiles of scores (attention.h).
 *
 *   forward:  o = (w m) v over the tiles of keys; a softmax goes on with the largest score and
 *             the sum so far, and is divided by the whole sum at the end
 *   backward: s and w again;  dv = (w m)^T do,  dw = (do v^T) m,  ds = dw f'(s),
 *             dq = ds k / divisor,  dk = ds^T q / divisor,  dbias[j - i] = sum of ds
 *
 * with m the factors of dropout. Kept: the logarithm of each softmax's sum, [B T H]. A head is
 * a range of columns; heads are more windows. */
#include <math.h>

#include "kernel/onednn/attention.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "gives no weights out";
    if (((const struct mega_attr_attention *)c->attr)->weights) return false;
    *why = "float32 only";
    for (int i = Q; i <= PAST_V; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    return c->out[0]->dtype == MEGA_F32;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    if (((const struct mega_attr_attention *)c->attr)->fn == MEGA_ATTENTION_SOFTMAX)
        saved[0] =
            mega_shaped(MEGA_F32, 1, c->rows->B * c->rows->T * mega_heads_of(c).H, 0, 0, 0);
}

/* scalar operations, as mega_lanes counts them: vectors do eight at a time */
double attention_cost(const struct attention_plan *p)
{
    return (double)(p->c->rows->B * p->T * p->n.H) * (double)mega_window_most(p->c) *
           (double)(p->Z + p->E) / 8;
}

/* ---- forward ---- */

/* a block of queries on its way through the tiles */
struct block {
    struct attention_queries q;
    struct mega_matrix score, o;
    float *most, *sum, *factor; /* of each query: its largest score and sum so far; [keys] */
};

/* s: n scores become weights, not yet divided by their sum */
static void softmax(
    const struct attention_plan *p, struct block *b, int64_t r, float *s, int64_t n, bool first)
{
    float most = p->f->most(s, n);
    if (!first && most <= b->most[r]) {
        b->sum[r] += p->f->exp_sum(s, s, b->most[r], n);
        return;
    }
    float sum = p->f->exp_sum(s, s, most, n);
    if (!first) {
        float less = expf(b->most[r] - most);
        sum += less * b->sum[r];
        p->f->scale(mega_matrix_row(b->o, r), mega_matrix_row(b->o, r), less, p->E);
    }
    b->most[r] = most;
    b->sum[r] = sum;
}

static void weigh(const struct attention_plan *p, struct block *b,
    const struct attention_keys *k, int64_t r, bool first)
{
    float *s = mega_matrix_row(b->score, r);
    int64_t n = attention_seen(p, &b->q, k, r);
    switch (p->a->fn) {
    case MEGA_ATTENTION_SOFTMAX:
        if (n) softmax(p, b, r, s, n, first);
        break;
    case MEGA_ATTENTION_LAPLACE: p->f->laplace(s, s, n); break;
    case MEGA_ATTENTION_RELU2: p->f->relu2(s, s, n); break;
    }
    attention_clear(s + n, s + k->n);
    if (!p->drops) return;
    attention_draw(p, &b->q, k, r, b->factor);
    p->f->multiply(s, s, b->factor, n);
}

/* o of a softmax is divided by its sum; a query that sees no real key has none and gives 0 */
static void finish(const struct attention_plan *p, const struct block *b)
{
    float *kept = p->c->saved[0] ? p->c->saved[0]->data : NULL;
    for (int64_t r = 0; r < b->q.m; r++) {
        float sum = b->sum[r], *o = mega_matrix_row(b->o, r);
        if (sum > 0) p->f->scale(o, o, 1 / sum, p->E);
        if (kept) kept[attention_sum(p, &b->q, r)] = sum > 0 ? b->most[r] + logf(sum) : 0;
    }
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct attention_plan *p = arg;
    const struct attention_span *span = attention_find(p, lane);
    int64_t first = span->first + (lane - span->lane) * ATTENTION_QUERIES;
    struct block b = { .q = attention_queries(p, span, span->head, first, scratch) };
    b.score = mega_matrix_scratch(scratch, b.q.m, ATTENTION_KEYS);
    b.o = mega_matrix_of(p->c->out[0], attention_row(p, &b.q, 0), span->head * p->E);
    b.most = mega_arena_get(scratch, (2 * ATTENTION_QUERIES + ATTENTION_KEYS) * sizeof *b.most);
    b.sum = b.most + ATTENTION_QUERIES;
    b.factor = b.sum + ATTENTION_QUERIES;
    attention_clear(b.sum, b.sum + b.q.m);

    int64_t j = span->lo, end = attention_end(p, &b.q);
    for (int64_t r = 0; j >= end && r < b.q.m; r++)
        attention_clear(mega_matrix_row(b.o, r), mega_matrix_row(b.o, r) + p->E);
    for (struct attention_keys k; j < end; j += k.n) {
        k = attention_keys(p, span, j, end);
        attention_scores(p, &b.q, &k, b.score);
        for (int64_t r = 0; r < b.q.m; r++) weigh(p, &b, &k, r, j == span->lo);
        mega_gemm("NN", b.q.m, p->E, k.n, b.score, k.v, b.o, j > span->lo);
    }
    if (p->a->fn == MEGA_ATTENTION_SOFTMAX) finish(p, &b);
}

static void forward(const struct mega_call *c)
{
    struct attention_plan p = attention_plan(c, false);
    mega_lanes(c->work, p.lanes, attention_cost(&p), forward_lane, &p);
}

const struct mega_kernel mega_onednn_attention = {
    .name = "onednn",
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = attention_backward,
};
