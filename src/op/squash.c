/* squash: y = factor w f(inside a x + s) + b with f the identity, tanh or erf: what stands in
 * the place of a norm and looks at each number alone (DynamicTanh: 2503.10622; Derf:
 * 2512.10938), soft clamps c tanh(x / c), and a learned factor of all. */
#include <math.h>

#include "op/contracts.h"

enum {
    X = MEGA_SQUASH_X,
    W = MEGA_SQUASH_WEIGHT,
    B = MEGA_SQUASH_BIAS,
    A = MEGA_SQUASH_SLOPE,
    S = MEGA_SQUASH_SHIFT
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    int64_t D = mega_width(c->in[X]);
    if (c->in[W] && mega_count(c->in[W]) != D && mega_count(c->in[W]) != 1)
        return mega_op_refuse(c, "weight", c->in[W], "[%lld] or [1]", (long long)D);
    if (c->in[B] && mega_count(c->in[B]) != D)
        return mega_op_refuse(c, "bias", c->in[B], "[%lld]", (long long)D);
    for (int i = A; i <= S; i++)
        if (c->in[i] && mega_count(c->in[i]) != 1)
            return mega_op_refuse(c, i == A ? "slope" : "shift", c->in[i], "[1]");
    out[0] = mega_activation(c, c->in[X]);
    return MEGA_OK;
}

static double one(const mega_tensor *t, double absent)
{
    return t ? mega_get(t, 0, 0) : absent;
}

static int64_t gain_column(const struct mega_call *c, int64_t j)
{
    return mega_count(c->in[W]) == 1 ? 0 : j;
}

static double gain(const struct mega_call *c, int64_t j)
{
    const struct mega_attr_squash *a = c->attr;
    double w = c->in[W] ? mega_get(c->in[W], 0, gain_column(c, j)) + a->unit_offset : 1;
    return a->factor * w;
}

static double inside(const struct mega_call *c, double x)
{
    const struct mega_attr_squash *a = c->attr;
    return a->inside * one(c->in[A], 1) * x + one(c->in[S], 0);
}

static double f(enum mega_squash_kind kind, double z)
{
    return kind == MEGA_SQUASH_TANH ? tanh(z) : kind == MEGA_SQUASH_ERF ? erf(z) : z;
}

static double slope(enum mega_squash_kind kind, double z)
{
    static const double two_over_root_pi = 1.12837916709551257390;
    double t = tanh(z);
    return kind == MEGA_SQUASH_TANH  ? 1 - t * t
           : kind == MEGA_SQUASH_ERF ? two_over_root_pi * exp(-z * z)
                                     : 1;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_squash *a = c->attr;
    for (int64_t r = 0; r < mega_height(c->in[X]); r++)
        for (int64_t j = 0; j < mega_width(c->in[X]); j++)
            mega_put(c->out[0], r, j,
                gain(c, j) * f(a->kind, inside(c, mega_get(c->in[X], r, j))) +
                    (c->in[B] ? mega_get(c->in[B], 0, j) : 0));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_squash *a = c->attr;
    double slopes = 0, shifts = 0;
    mega_grads_begin(g);
    for (int64_t j = 0; j < mega_width(c->in[X]); j++) {
        double dw = 0, db = 0;
        for (int64_t r = 0; r < mega_height(c->in[X]); r++) {
            double x = mega_get(c->in[X], r, j), z = inside(c, x),
                   dy = mega_grad_out(g, 0, r, j), dz = dy * gain(c, j) * slope(a->kind, z);
            dw += a->factor * dy * f(a->kind, z);
            db += dy;
            slopes += a->inside * dz * x;
            shifts += dz;
            mega_grad_add(g, X, r, j, a->inside * one(c->in[A], 1) * dz);
        }
        if (c->in[W]) mega_grad_add(g, W, 0, gain_column(c, j), dw);
        mega_grad_add(g, B, 0, j, db);
    }
    mega_grad_add(g, A, 0, 0, slopes);
    mega_grad_add(g, S, 0, 0, shifts);
}

const struct mega_op mega_op_squash = {
    .name = "squash",
    .n_in = 5,
    .n_out = 1,
    .optional = 1u << W | 1u << B | 1u << A | 1u << S,
    .attr_size = sizeof(struct mega_attr_squash),
    .shape = shape,
    .cheap = true,
    .unread = 1u << B,
    .by_rows = 1u << X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
