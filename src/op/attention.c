/* attention: o[i] = sum_j drop(f(s[i, j])) v[j] over the keys that query i sees (Mega
 * sections 2.2, 4, 5.3).
 *
 *   s[i, j] = q[i] . k[j] / divisor + bias[n-1 + j-i]
 *   softmax: f = exp(s) / sum exp(s), divisor sqrt(Z)
 *   laplace: f = (1 + erf((s - mu) / (sigma sqrt 2))) / 2, divisor: keys counted
 *   relu2:   f = max(0, s)^2, divisor: keys counted
 *
 * Laplace and relu2 weights of hidden keys are 0 and nothing is normalised. A softmax query
 * that sees no real key at all (left padding under a causal mask) gives 0. What a query sees:
 * window.h. */
#include <math.h>

#include "op/draw.h"
#include "op/window.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

static const double mu = 0.707107, sigma = 0.282095; /* as printed in the official code */

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_attention *a = c->attr;
    const mega_tensor *q = c->in[Q], *k = c->in[K], *v = c->in[V], *bias = c->in[BIAS];
    int64_t B = c->rows->B, T = c->rows->T;
    if (q->rank != 3 || q->dim[0] != B || q->dim[1] != T)
        return mega_op_refuse(c, "q", q, "[%lld, %lld, Z]", (long long)B, (long long)T);
    if (!mega_same_shape(q, k)) return mega_op_refuse(c, "k", k, "the shape of q");
    if (v->rank != 3 || mega_height(v) != B * T)
        return mega_op_refuse(c, "v", v, "[%lld, %lld, E]", (long long)B, (long long)T);
    if (a->chunk == 0 || a->chunk < -1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: chunk is %lld, expected a length or -1 for none", (long long)a->chunk);
    if (bias && mega_window_most(c) > (mega_count(bias) + 1) / 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: a window of %lld places, but the relative bias covers %lld: raise the "
            "model's longest length or use chunks",
            (long long)mega_window_most(c), (long long)(mega_count(bias) + 1) / 2);
    if ((c->in[PAST_K] != NULL) != (c->in[PAST_V] != NULL))
        return mega_op_refuse(c, "the past", c->in[PAST_K], "both keys and values, or neither");
    out[0] = mega_like(v, c->dtype);
    if (!a->weights) return MEGA_OK;
    int64_t W = a->chunk > 0 && a->chunk < T ? a->chunk : T;
    out[1] = mega_shaped(c->dtype, 4, B, W ? (T + W - 1) / W : 0, W, W);
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    double rows = (double)mega_height(c->in[Q]),
           width = (double)(mega_width(c->in[Q]) + mega_width(c->in[V]));
    *flops = 2 * rows * width * (double)mega_window_most(c);
    *bytes = (double)(2 * mega_size(c->in[Q]) + mega_size(c->in[V]) + mega_size(c->out[0]));
}

/* element d of key or value j: from this call or, for negative places, from the log of the past
 */
static double element(const struct mega_call *c, int which, int64_t b, int64_t j, int64_t d)
{
    if (j >= 0) return mega_get(c->in[which], b * c->rows->T + j, d);
    const mega_tensor *log = c->in[which - K + PAST_K];
    return mega_get(log, b * log->dim[1] + (mega_rows_place(c->rows, b) + j) % log->dim[1], d);
}

struct query {
    struct mega_window w;
    int64_t b, i;
    double divisor;
    double *s, *f; /* score and weight of key w.from + x at x */
};

static bool sees(const struct mega_call *c, const struct query *u, int64_t j)
{
    return j < u->w.seen && mega_window_real(c, &u->w, u->b, j);
}

static void scores(const struct mega_call *c, struct query *u)
{
    const mega_tensor *bias = c->in[BIAS];
    int64_t row = u->b * c->rows->T + u->i, center = bias ? (mega_count(bias) - 1) / 2 : 0;
    for (int64_t j = u->w.from; j < u->w.to; j++) {
        double s = 0;
        for (int64_t d = 0, Z = mega_width(c->in[Q]); d < Z; d++)
            s += mega_get(c->in[Q], row, d) * element(c, K, u->b, j, d);
        u->s[j - u->w.from] =
            s / u->divisor + (bias && sees(c, u, j) ? mega_get(bias, 0, center + j - u->i) : 0);
    }
}

static void weights(const struct mega_call *c, struct query *u)
{
    const struct mega_attr_attention *a = c->attr;
    double most = -INFINITY, sum = 0;
    for (int64_t j = u->w.from; j < u->w.to; j++)
        if (sees(c, u, j)) most = fmax(most, u->s[j - u->w.from]);
    for (int64_t j = u->w.from; j < u->w.to; j++) {
        double s = u->s[j - u->w.from], f = 0;
        if (sees(c, u, j)) {
            if (a->fn == MEGA_ATTENTION_SOFTMAX) f = exp(s - most);
            if (a->fn == MEGA_ATTENTION_LAPLACE)
                f = 0.5 * (1 + erf((s - mu) / (sigma * sqrt(2))));
            if (a->fn == MEGA_ATTENTION_RELU2) f = s > 0 ? s * s : 0;
        }
        u->f[j - u->w.from] = f;
        sum += f;
    }
    if (a->fn == MEGA_ATTENTION_SOFTMAX && sum > 0)
        for (int64_t j = u->w.from; j < u->w.to; j++) u->f[j - u->w.from] /= sum;
}

static double drop(const struct mega_call *c, const struct query *u, int64_t j)
{
    const struct mega_attr_attention *a = c->attr;
    if (!mega_dropout_acts(c, a->dropout)) return 1;
    int64_t first = mega_rows_place(c->rows, u->b), row = mega_rows_number(c->rows, u->b);
    int64_t query = first + u->i, key = first + j;
    return mega_draw(mega_draw_key(c), mega_draw_weights_low(query, key / 4),
        mega_draw_weights_high(row, 0), key, a->dropout);
}

static struct query query_of(const struct mega_call *c, int64_t b, int64_t i, double *room)
{
    struct query u = { .w = mega_window_at(c, b, i), .b = b, .i = i };
    u.divisor = mega_window_divisor(c, &u.w, i);
    u.s = room;
    u.f = room + (u.w.to - u.w.from);
    scores(c, &u);
    weights(c, &u);
    return u;
}

/* room for scores, weights and gradients of the longest window there is */
static double *window_room(const struct mega_call *c)
{
    int64_t past = c->in[PAST_K] ? c->in[PAST_K]->dim[1] : 0;
    return mega_scratch(c->work, 3 * (size_t)(c->rows->T + past + 1) * sizeof(double));
}

static void put_weights(const struct mega_call *c, const struct query *u)
{
    int64_t W = mega_width(c->out[1]), K_ = c->out[1]->dim[1];
    int64_t row = (u->b * K_ + u->i / W) * W + u->i % W;
    for (int64_t x = 0; x < W; x++)
        mega_put(c->out[1], row, x, x < u->w.to - u->w.from ? u->f[x] : 0);
}

static void forward(const struct mega_call *c)
{
    double *room = window_room(c);
    if (c->out[1]) mega_tensor_zero(c->out[1]);
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t i = 0; i < c->rows->T; i++) {
            struct query u = query_of(c, b, i, room);
            for (int64_t d = 0, E = mega_width(c->in[V]); d < E; d++) {
                double o = 0;
                for (int64_t j = u.w.from; j < u.w.seen; j++) {
                    double f = u.f[j - u.w.from];
                    if (f != 0) o += f * drop(c, &u, j) * element(c, V, b, j, d);
                }
                mega_put(c->out[0], b * c->rows->T + i, d, o);
            }
            if (c->out[1]) put_weights(c, &u);
        }
}

/* gradient of the scores from that of the weights, df, in place */
static void score_gradients(const struct mega_call *c, const struct query *u, double *df)
{
    const struct mega_attr_attention *a = c->attr;
    int64_t n = u->w.seen - u->w.from;
    double mean = 0;
    for (int64_t x = 0; x < n; x++) mean += u->f[x] * df[x];
    for (int64_t x = 0; x < n; x++) {
        double s = u->s[x], slope = 0;
        if (a->fn == MEGA_ATTENTION_SOFTMAX) {
            df[x] = u->f[x] * (df[x] - mean);
            continue;
        }
        double z = (s - mu) / (sigma * sqrt(2));
        if (a->fn == MEGA_ATTENTION_LAPLACE)
            slope = exp(-z * z) / (sigma * sqrt(2 * 3.14159265358979323846));
        if (a->fn == MEGA_ATTENTION_RELU2) slope = s > 0 ? 2 * s : 0;
        df[x] *= sees(c, u, u->w.from + x) ? slope : 0;
    }
}

struct sums {
    double *dk, *dv, *dbias; /* of one row: [T, Z], [T, E]; of the call: [2n-1] */
};

static void query_backward(const struct mega_call *c, const struct query *u, double *ds,
    struct sums *sums, struct mega_grads *g)
{
    int64_t T = c->rows->T, Z = mega_width(c->in[Q]), E = mega_width(c->in[V]),
            row = u->b * T + u->i;
    for (int64_t j = u->w.from; j < u->w.seen; j++) {
        double keep = drop(c, u, j), f = u->f[j - u->w.from] * keep, df = 0;
        for (int64_t d = 0; d < E; d++) {
            double o = mega_grad_out(g, 0, row, d);
            df += o * element(c, V, u->b, j, d);
            if (j >= 0) sums->dv[j * E + d] += f * o;
        }
        ds[j - u->w.from] = df * keep;
    }
    score_gradients(c, u, ds);
    int64_t center = c->in[BIAS] ? (mega_count(c->in[BIAS]) - 1) / 2 : 0;
    for (int64_t j = u->w.from; j < u->w.seen; j++) {
        double s = ds[j - u->w.from];
        if (c->in[BIAS] && s != 0) sums->dbias[center + j - u->i] += s;
        for (int64_t d = 0; d < Z; d++) {
            mega_grad_add(g, Q, row, d, s / u->divisor * element(c, K, u->b, j, d));
            if (j >= 0) sums->dk[j * Z + d] += s / u->divisor * mega_get(c->in[Q], row, d);
        }
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t T = c->rows->T, Z = mega_width(c->in[Q]), E = mega_width(c->in[V]);
    int64_t n_bias = c->in[BIAS] ? mega_count(c->in[BIAS]) : 0;
    double *room = window_room(c);
    struct sums sums;
    sums.dk = mega_scratch(c->work, (size_t)(T * Z + 1) * sizeof(double));
    sums.dv = mega_scratch(c->work, (size_t)(T * E + 1) * sizeof(double));
    sums.dbias = mega_scratch(c->work, (size_t)(n_bias + 1) * sizeof(double));
    for (int64_t i = 0; i < n_bias; i++) sums.dbias[i] = 0;
    mega_grads_begin(g);
    for (int64_t b = 0; b < c->rows->B; b++) {
        for (int64_t i = 0; i < T * Z; i++) sums.dk[i] = 0;
        for (int64_t i = 0; i < T * E; i++) sums.dv[i] = 0;
        for (int64_t i = 0; i < T; i++) {
            struct query u = query_of(c, b, i, room);
            query_backward(c, &u, room + 2 * (u.w.to - u.w.from), &sums, g);
        }
        for (int64_t j = 0; j < T; j++) {
            for (int64_t d = 0; d < Z; d++)
                mega_grad_add(g, K, b * T + j, d, sums.dk[j * Z + d]);
            for (int64_t d = 0; d < E; d++)
                mega_grad_add(g, V, b * T + j, d, sums.dv[j * E + d]);
        }
    }
    for (int64_t i = 0; i < n_bias; i++) mega_grad_add(g, BIAS, 0, i, sums.dbias[i]);
}

const struct mega_op mega_op_attention = {
    .name = "attention",
    .n_in = 6,
    .n_out = 2,
    .optional = 1u << BIAS | 1u << PAST_K | 1u << PAST_V,
    .attr_size = sizeof(struct mega_attr_attention),
    .shape = shape,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
