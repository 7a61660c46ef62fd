/* The attention kernel, forward: exact, by tiles of scores (attention_tile.h). Both ways:
 *
 *   forward:  o = (w m) v over the tiles of keys; a softmax goes on with the largest score and
 *             the sum so far, and is divided by the whole sum at the end
 *   backward: s and w again;  dv = (w m)^T do,  dw = (do v^T) m,  ds = dw f'(s),
 *             dq = ds k / divisor,  dk = ds^T q / divisor,  dbias[j - i] = sum of ds
 *
 * with m the factors of dropout. Kept: the logarithm of each softmax's sum, [B T H]. A head is
 * a range of columns; heads are more windows. */
#include "kernel/cpu/isa/attention.h"

#include "kernel/cpu/isa/attention_tile.h"

/* what the variants of the Transformer ask for and tiles do not have yet */
static const char *variant(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    if (a->exec == MEGA_ATTENTION_STRIP) return "strips are asked for";
    if (mega_attention_needs_strips(c)) return mega_attention_needs_strips(c);
    if (a->fn > MEGA_ATTENTION_RELU2) return "softmax, laplace and relu2 only";
    for (int i = PAST_V + 1; i < MEGA_ATTENTION_INPUTS; i++)
        if (c->in[i]) return "prefix, sink, decay or share";
    if (c->keys) return "keys of other rows";
    if (c->in[BIAS] && mega_height(c->in[BIAS]) > 1) return "a bias of each head";
    if (a->reach || a->prefix) return "a reach of its own, or a prefix";
    return a->zeros || a->l2 || a->clamp > 0 ? "zeros, l2 or clamp" : NULL;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = variant(c);
    if (*why) return false;
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

/* ---- forward ---- */

/* a block of queries on its way through the tiles */
struct block {
    struct attention_queries q;
    struct mega_matrix score, o;
    float *most, *sum, *factor; /* of each query: its largest score and sum so far; [keys] */
};

/* s += bias; returns the largest */
static float add_bias(float *s, const float *bias, int64_t n)
{
    vec most = vec_all(-INFINITY);
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        vec v = bias ? vec_load(s + j) + vec_load(bias + j) : vec_load(s + j);
        if (bias) vec_store(s + j, v);
        most = vec_max(most, v);
    }
    float all = vec_most(most);
    for (; j < n; j++) {
        if (bias) s[j] += bias[j];
        all = s[j] > all ? s[j] : all;
    }
    return all;
}

/* s: n scores, `most` the largest, become weights, not yet divided by their sum */
static void softmax(
    const struct attention_plan *p, struct block *b, int64_t r, float *s, float most, int64_t n)
{
    if (b->sum[r] > 0 && most <= b->most[r]) {
        b->sum[r] += row_functions->exp_sum(s, s, b->most[r], n);
        return;
    }
    float sum = row_functions->exp_sum(s, s, most, n);
    if (b->sum[r] > 0) {
        float less = expf(b->most[r] - most);
        sum += less * b->sum[r];
        row_functions->scale(mega_matrix_row(b->o, r), mega_matrix_row(b->o, r), less, p->E);
    }
    b->most[r] = most;
    b->sum[r] = sum;
}

static void weigh(
    const struct attention_plan *p, struct block *b, const struct attention_keys *k, int64_t r)
{
    float *s = mega_matrix_row(b->score, r);
    int64_t n = seen_by(p, &b->q, k, r);
    if (p->hides) hide(p, &b->q, k, r, s, n, b->factor);
    float most = n ? add_bias(s, bias_of(p, &b->q, k, r), n) : 0;
    /* of a softmax nothing is left where dropout hides all keys */
    if (p->hides && p->a->fn == MEGA_ATTENTION_SOFTMAX && most < ATTENTION_UNSEEN / 2) n = 0;
    switch (p->a->fn) {
    case MEGA_ATTENTION_SOFTMAX:
        if (n) softmax(p, b, r, s, most, n);
        break;
    case MEGA_ATTENTION_LAPLACE: row_functions->laplace(s, s, n); break;
    case MEGA_ATTENTION_RELU2: row_functions->relu2(s, s, n); break;
    default: break; /* not accepted */
    }
    clear(s + n, s + k->n);
    if (!p->drops) return;
    draw(p, &b->q, k, r, b->factor);
    row_functions->multiply(s, s, b->factor, n);
}

/* o of a softmax is divided by its sum; a query that sees no real key has none and gives 0 */
static void finish(const struct attention_plan *p, const struct block *b)
{
    float *kept = p->c->saved[0] ? p->c->saved[0]->data : NULL;
    for (int64_t r = 0; r < b->q.m; r++) {
        float sum = b->sum[r], *o = mega_matrix_row(b->o, r);
        if (sum > 0) row_functions->scale(o, o, 1 / sum, p->E);
        if (kept) kept[sum_row(p, &b->q, r)] = sum > 0 ? b->most[r] + logf(sum) : 0;
    }
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct attention_plan *p = arg;
    const struct attention_span *span = find_span(p, lane);
    int64_t first = span->first + (lane - span->lane) * p->tile;
    struct block b = { .q = queries_of(p, span, span->head, first, scratch) };
    b.score = mega_matrix_scratch(scratch, b.q.m, p->tile);
    b.o = mega_matrix_of(p->c->out[0], query_row(p, &b.q, 0), span->head * p->E);
    b.most = mega_arena_get(scratch, (size_t)(3 * p->tile) * sizeof *b.most);
    b.sum = b.most + p->tile;
    b.factor = b.sum + p->tile;
    clear(b.sum, b.sum + b.q.m);

    int64_t j = span->lo, end = end_of(p, &b.q);
    for (int64_t r = 0; j >= end && r < b.q.m; r++)
        clear(mega_matrix_row(b.o, r), mega_matrix_row(b.o, r) + p->E);
    size_t mark = mega_arena_mark(scratch);
    for (struct attention_keys k; j < end; j += k.n) {
        k = keys_of(p, span, j, end);
        scores(p, &b.q, &k, b.score, scratch);
        for (int64_t r = 0; r < b.q.m; r++) weigh(p, &b, &k, r);
        block_product(p->pairs, b.q.m, p->E, k.n, as_it_lies(b.score), as_it_lies(k.v), b.o,
            j > span->lo, scratch);
        mega_arena_release(scratch, mark);
    }
    if (p->a->fn == MEGA_ATTENTION_SOFTMAX) finish(p, &b);
}

static void forward(const struct mega_call *c)
{
    struct attention_plan p = plan_of(c, false);
    mega_lanes(c->work, p.lanes, cost_of(&p), forward_lane, &p);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_attention) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_attention_backward),
    .reads_out = true,
};
