/* log_softmax: y_j = base + x_j - log sum_k exp(x_k). */
#include <math.h>

#include "op/contracts.h"

enum { X = MEGA_LOG_SOFTMAX_X, BASE = MEGA_LOG_SOFTMAX_BASE };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *base = c->in[BASE];
    if (base && (mega_width(base) != 1 || mega_height(base) != mega_height(x)))
        return mega_op_refuse(
            c, "base", base, "one number for each of %lld rows", (long long)mega_height(x));
    out[0] = mega_like(x, mega_wide_type(c));
    return MEGA_OK;
}

static double log_sum(const mega_tensor *x, int64_t r)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < mega_width(x); j++) most = fmax(most, mega_get(x, r, j));
    for (int64_t j = 0; j < mega_width(x); j++) sum += exp(mega_get(x, r, j) - most);
    return most + log(sum);
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->in[X]); r++) {
        double total = log_sum(c->in[X], r) - (c->in[BASE] ? mega_get(c->in[BASE], r, 0) : 0);
        for (int64_t j = 0; j < mega_width(c->in[X]); j++)
            mega_put(c->out[0], r, j, mega_get(c->in[X], r, j) - total);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const mega_tensor *x = c->in[X];
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(x); r++) {
        double total = log_sum(x, r), sum = 0;
        for (int64_t j = 0; j < mega_width(x); j++) sum += mega_grad_out(g, 0, r, j);
        for (int64_t j = 0; j < mega_width(x); j++)
            mega_grad_add(
                g, X, r, j, mega_grad_out(g, 0, r, j) - exp(mega_get(x, r, j) - total) * sum);
        mega_grad_add(g, BASE, r, 0, sum);
    }
}

const struct mega_op mega_op_log_softmax = {
    .name = "log_softmax",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << BASE,
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
