/* attention: for each head, o[i] = sum_j drop(f(s[i, j])) v[j] over the keys that query i sees
 * (Mega sections 2.2, 4, 5.3; heads: Vaswani et al., 2017, groups of them: heads.h).
 *
 *   s[i, j] = q[i] . k[j] / divisor + bias[n-1 + j-i], q of head h, k and v of its group
 *   softmax: f = exp(s) / sum exp(s), divisor sqrt(d)
 *   laplace: f = (1 + erf((s - mu) / (sigma sqrt 2))) / 2, divisor: keys counted
 *   relu2:   f = max(0, s)^2, divisor: keys counted
 *
 * A scale in the attributes takes the place of 1 / divisor.
 * Laplace and relu2 weights of hidden keys are 0 and nothing is normalised. A softmax query
 * that sees no real key at all (left padding under a causal mask) gives 0. What a query sees:
 * window.h. */
#include <math.h>

#include "op/draw.h"
#include "op/heads.h"
#include "op/window.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

static const double mu = 0.707107, sigma = 0.282095; /* as printed in the official code */

/* H and G: counts that divide what they should */
static mega_status check_heads(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    struct mega_heads n = mega_heads_of(c);
    if (a->heads < 0 || a->kv_heads < 0 || n.H % n.G)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: %lld heads and %lld heads of keys and values, expected a multiple of "
            "the latter",
            (long long)a->heads, (long long)a->kv_heads);
    if (!(a->scale >= 0) || isinf(a->scale))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: scale is %g, expected a positive number or 0 for the default",
            a->scale);
    return MEGA_OK;
}

/* B rows of so many places, each of `heads` heads; of d columns each, -1: of any number */
static bool has_shape(const mega_tensor *t, int64_t B, int64_t places, int64_t heads, int64_t d)
{
    return t->rank == 3 && t->dim[0] == B && t->dim[1] == places &&
           (d >= 0 ? t->dim[2] == heads * d : t->dim[2] % heads == 0);
}

static mega_status check_past(const struct mega_call *c)
{
    const mega_tensor *k = c->in[PAST_K], *v = c->in[PAST_V];
    struct mega_heads n = mega_heads_of(c);
    if ((k != NULL) != (v != NULL))
        return mega_op_refuse(c, "the past", k, "both keys and values, or neither");
    if (!k) return MEGA_OK;
    int64_t B = c->rows->B, P = mega_dim(k, 1);
    if (!has_shape(k, B, P, n.G, n.d))
        return mega_op_refuse(
            c, "past_k", k, "[%lld, places, %lld]", (long long)B, (long long)(n.G * n.d));
    if (!has_shape(v, B, P, n.G, n.dv))
        return mega_op_refuse(c, "past_v", v, "[%lld, %lld, %lld]", (long long)B, (long long)P,
            (long long)(n.G * n.dv));
    return MEGA_OK;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_attention *a = c->attr;
    const mega_tensor *q = c->in[Q], *k = c->in[K], *v = c->in[V], *bias = c->in[BIAS];
    int64_t B = c->rows->B, T = c->rows->T;
    MEGA_TRY(check_heads(c));
    struct mega_heads n = mega_heads_of(c);
    if (!has_shape(q, B, T, n.H, -1))
        return mega_op_refuse(c, "q", q, "[%lld, %lld, a multiple of %lld]", (long long)B,
            (long long)T, (long long)n.H);
    if (!has_shape(k, B, T, n.G, n.d))
        return mega_op_refuse(c, "k", k, "[%lld, %lld, %lld]", (long long)B, (long long)T,
            (long long)(n.G * n.d));
    if (!has_shape(v, B, T, n.G, -1))
        return mega_op_refuse(c, "v", v, "[%lld, %lld, a multiple of %lld]", (long long)B,
            (long long)T, (long long)n.G);
    if (a->chunk == 0 || a->chunk < -1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: chunk is %lld, expected a length or -1 for none", (long long)a->chunk);
    MEGA_TRY(check_past(c));
    if (bias && mega_window_most(c) > (mega_count(bias) + 1) / 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: a window of %lld places, but the relative bias covers %lld: raise the "
            "model's longest length or use chunks",
            (long long)mega_window_most(c), (long long)(mega_count(bias) + 1) / 2);
    out[0] = mega_shaped(mega_activation(c, c->in[Q]).dtype, 3, B, T, n.H * n.dv, 0);
    if (!a->weights) return MEGA_OK;
    int64_t W = a->chunk > 0 && a->chunk < T ? a->chunk : T;
    out[1] = mega_shaped(out[0].dtype, 4, B, W ? n.H * ((T + W - 1) / W) : 0, W, W);
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    struct mega_heads n = mega_heads_of(c);
    double rows = (double)mega_height(c->in[Q]), width = (double)(n.H * (n.d + n.dv));
    double window = (double)mega_window_most(c);
    /* half of the keys, and oneself */
    if (((const struct mega_attr_attention *)c->attr)->causal) window = (window + 1) / 2;
    *flops = 2 * rows * width * window;
    *bytes = (double)(mega_size(c->in[Q]) + mega_size(c->in[K]) + mega_size(c->in[V]) +
                      mega_size(c->out[0]));
}

struct query {
    struct mega_window w;
    struct mega_heads n;
    int64_t b, h, i, group; /* the group: its head of keys and values */
    double divisor;
    double *s, *f; /* score and weight of key w.from + x at x */
};

static double q_at(const struct mega_call *c, const struct query *u, int64_t d)
{
    return mega_get(c->in[Q], u->b * c->rows->T + u->i, u->h * u->n.d + d);
}

/* column of the keys or values: from this call or, for negative places, from the log of the
 * past */
static double element(
    const struct mega_call *c, int which, int64_t b, int64_t j, int64_t column)
{
    if (j >= 0) return mega_get(c->in[which], b * c->rows->T + j, column);
    const mega_tensor *log = c->in[which - K + PAST_K];
    return mega_get(
        log, b * log->dim[1] + (mega_rows_place(c->rows, b) + j) % log->dim[1], column);
}

static double k_at(const struct mega_call *c, const struct query *u, int64_t j, int64_t d)
{
    return element(c, K, u->b, j, u->group * u->n.d + d);
}

static double v_at(const struct mega_call *c, const struct query *u, int64_t j, int64_t d)
{
    return element(c, V, u->b, j, u->group * u->n.dv + d);
}

/* what the draw gives key j of a query: 0 or 1 / (1 - p) */
static double drawn(const struct mega_call *c, const struct query *u, int64_t j)
{
    const struct mega_attr_attention *a = c->attr;
    if (!mega_dropout_acts(c, a->dropout)) return 1;
    int64_t first = mega_rows_place(c->rows, u->b), row = mega_rows_number(c->rows, u->b);
    int64_t from = first + u->i, to = first + j;
    return mega_draw(mega_draw_key(c), mega_draw_weights_low(from, to / 4),
        mega_draw_weights_high(row, u->h), to, a->dropout);
}

static double drop(const struct mega_call *c, const struct query *u, int64_t j)
{
    return ((const struct mega_attr_attention *)c->attr)->drop_keys ? 1 : drawn(c, u, j);
}

static bool hidden(const struct mega_call *c, const struct query *u, int64_t j)
{
    return ((const struct mega_attr_attention *)c->attr)->drop_keys && drawn(c, u, j) == 0;
}

static bool sees(const struct mega_call *c, const struct query *u, int64_t j)
{
    return j < u->w.seen && mega_window_real(c, &u->w, u->b, j) && !hidden(c, u, j);
}

static void scores(const struct mega_call *c, struct query *u)
{
    const mega_tensor *bias = c->in[BIAS];
    int64_t center = bias ? (mega_count(bias) - 1) / 2 : 0;
    for (int64_t j = u->w.from; j < u->w.to; j++) {
        double s = 0;
        for (int64_t d = 0; d < u->n.d; d++) s += q_at(c, u, d) * k_at(c, u, j, d);
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

static struct query query_of(
    const struct mega_call *c, int64_t b, int64_t h, int64_t i, double *room)
{
    struct query u = {
        .w = mega_window_at(c, b, i), .n = mega_heads_of(c), .b = b, .h = h, .i = i
    };
    u.group = mega_heads_group(&u.n, h);
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
    int64_t W = mega_width(c->out[1]), all = c->out[1]->dim[1], windows = all / u->n.H;
    int64_t row = (u->b * all + u->h * windows + u->i / W) * W + u->i % W;
    for (int64_t x = 0; x < W; x++)
        mega_put(c->out[1], row, x, x < u->w.to - u->w.from ? u->f[x] : 0);
}

static void query_forward(const struct mega_call *c, const struct query *u)
{
    for (int64_t d = 0; d < u->n.dv; d++) {
        double o = 0;
        for (int64_t j = u->w.from; j < u->w.seen; j++) {
            double f = u->f[j - u->w.from];
            if (f != 0) o += f * drop(c, u, j) * v_at(c, u, j, d);
        }
        mega_put(c->out[0], u->b * c->rows->T + u->i, u->h * u->n.dv + d, o);
    }
    if (c->out[1]) put_weights(c, u);
}

static void forward(const struct mega_call *c)
{
    double *room = window_room(c);
    if (c->out[1]) mega_tensor_zero(c->out[1]);
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t h = 0, H = mega_heads_of(c).H; h < H; h++)
            for (int64_t i = 0; i < c->rows->T; i++) {
                struct query u = query_of(c, b, h, i, room);
                query_forward(c, &u);
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
    double *dk, *dv, *dbias; /* of one row: [T, G*d], [T, G*dv]; of the call: [2n-1] */
};

static void query_backward(const struct mega_call *c, const struct query *u, double *ds,
    struct sums *sums, struct mega_grads *g)
{
    const struct mega_heads *n = &u->n;
    int64_t row = u->b * c->rows->T + u->i;
    for (int64_t j = u->w.from; j < u->w.seen; j++) {
        double keep = drop(c, u, j), f = u->f[j - u->w.from] * keep, df = 0;
        double *dv = j < 0 ? NULL : sums->dv + (j * n->G + u->group) * n->dv;
        for (int64_t d = 0; d < n->dv; d++) {
            double o = mega_grad_out(g, 0, row, u->h * n->dv + d);
            df += o * v_at(c, u, j, d);
            if (dv) dv[d] += f * o;
        }
        ds[j - u->w.from] = df * keep;
    }
    score_gradients(c, u, ds);
    int64_t center = c->in[BIAS] ? (mega_count(c->in[BIAS]) - 1) / 2 : 0;
    for (int64_t j = u->w.from; j < u->w.seen; j++) {
        double s = ds[j - u->w.from];
        double *dk = j < 0 ? NULL : sums->dk + (j * n->G + u->group) * n->d;
        if (c->in[BIAS] && s != 0) sums->dbias[center + j - u->i] += s;
        for (int64_t d = 0; d < n->d; d++) {
            mega_grad_add(g, Q, row, u->h * n->d + d, s / u->divisor * k_at(c, u, j, d));
            if (dk) dk[d] += s / u->divisor * q_at(c, u, d);
        }
    }
}

static void give_rows(
    const struct mega_call *c, struct mega_grads *g, int which, int64_t b, const double *sum)
{
    for (int64_t j = 0, width = mega_width(c->in[which]); j < c->rows->T; j++)
        for (int64_t d = 0; d < width; d++)
            mega_grad_add(g, which, b * c->rows->T + j, d, sum[j * width + d]);
}

static double *zeros(const struct mega_call *c, int64_t n)
{
    double *sum = mega_scratch(c->work, (size_t)(n + 1) * sizeof *sum);
    for (int64_t i = 0; i < n; i++) sum[i] = 0;
    return sum;
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t T = c->rows->T, keys = T * mega_width(c->in[K]), values = T * mega_width(c->in[V]);
    int64_t n_bias = c->in[BIAS] ? mega_count(c->in[BIAS]) : 0;
    double *room = window_room(c);
    struct sums sums = { zeros(c, keys), zeros(c, values), zeros(c, n_bias) };
    mega_grads_begin(g);
    for (int64_t b = 0; b < c->rows->B; b++) {
        for (int64_t i = 0; i < keys; i++) sums.dk[i] = 0;
        for (int64_t i = 0; i < values; i++) sums.dv[i] = 0;
        for (int64_t h = 0, H = mega_heads_of(c).H; h < H; h++)
            for (int64_t i = 0; i < T; i++) {
                struct query u = query_of(c, b, h, i, room);
                query_backward(c, &u, room + 2 * (u.w.to - u.w.from), &sums, g);
            }
        give_rows(c, g, K, b, sums.dk);
        give_rows(c, g, V, b, sums.dv);
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
    .by_rows = 1u << MEGA_ATTENTION_Q | 1u << MEGA_ATTENTION_K | 1u << MEGA_ATTENTION_V,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
