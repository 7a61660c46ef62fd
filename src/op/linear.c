/* linear: y = act(x w^T + b), x [.., K], w [N, K], b [N]. */
#include "op/act.h"

enum { X = MEGA_LINEAR_X, W = MEGA_LINEAR_W, B = MEGA_LINEAR_B };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *w = c->in[W], *b = c->in[B];
    if (w->rank != 2 || mega_width(w) != mega_width(x))
        return mega_op_refuse(c, "w", w, "[N, %lld]", (long long)mega_width(x));
    if (b && (b->rank != 1 || b->dim[0] != w->dim[0]))
        return mega_op_refuse(c, "b", b, "[%lld]", (long long)w->dim[0]);
    out[0] = mega_activation(c, x);
    if (x->rank) out[0].dim[x->rank - 1] = out[0].stride = w->dim[0];
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    double rows = (double)mega_height(c->in[X]), k = (double)c->in[W]->dim[1],
           n = (double)c->in[W]->dim[0];
    (void)bytes;
    *flops = 2 * rows * k * n;
}

static double before_act(const struct mega_call *c, int64_t r, int64_t n)
{
    double sum = c->in[B] ? mega_get(c->in[B], 0, n) : 0;
    for (int64_t k = 0, K = mega_width(c->in[X]); k < K; k++)
        sum += mega_get(c->in[X], r, k) * mega_get(c->in[W], n, k);
    return sum;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_linear *a = c->attr;
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t n = 0; n < c->in[W]->dim[0]; n++)
            mega_put(c->out[0], r, n, mega_act(a->act, before_act(c, r, n)));
}

/* gradient of the pre-activation, [rows, N] in double */
static double *inner_gradient(const struct mega_call *c, const struct mega_grads *g)
{
    const struct mega_attr_linear *a = c->attr;
    int64_t rows = mega_height(c->in[X]), N = c->in[W]->dim[0];
    double *d = mega_scratch(c->work, (size_t)(rows * N) * sizeof *d);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < N; n++) {
            double slope =
                a->act == MEGA_ACT_LINEAR ? 1 : mega_act_slope(a->act, before_act(c, r, n));
            d[r * N + n] = mega_grad_out(g, 0, r, n) * slope;
        }
    return d;
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t rows = mega_height(c->in[X]), N = c->in[W]->dim[0], K = c->in[W]->dim[1];
    const double *d = inner_gradient(c, g);
    mega_grads_begin(g);
    for (int64_t r = 0; g->in[X] && r < rows; r++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t n = 0; n < N; n++) sum += d[r * N + n] * mega_get(c->in[W], n, k);
            mega_grad_add(g, X, r, k, sum);
        }
    for (int64_t n = 0; g->in[W] && n < N; n++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t r = 0; r < rows; r++) sum += d[r * N + n] * mega_get(c->in[X], r, k);
            mega_grad_add(g, W, n, k, sum);
        }
    for (int64_t n = 0; g->in[B] && n < N; n++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += d[r * N + n];
        mega_grad_add(g, B, 0, n, sum);
    }
}

const struct mega_op mega_op_linear = {
    .name = "linear",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << B,
    .attr_size = sizeof(struct mega_attr_linear),
    .shape = shape,
    .cost = cost,
    .by_rows = 1u << MEGA_LINEAR_X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
