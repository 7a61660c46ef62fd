/* norm: one row x [D] at a time (Mega section 2.4).
 *   layer: (x - mean) / sqrt(var + eps) * w + b, population variance
 *   scale: g x / sqrt(mean(x^2) + eps), one gain g
 *   rms:   w x / sqrt(mean(x^2) + eps)
 * With guard the divisor is max(sqrt(mean), eps / sqrt(D)), as |x| is at least eps then.
 * With unit_offset w and g are one more than what is stored. */
#include <math.h>

#include "op/contracts.h"

enum { X = MEGA_NORM_X, W = MEGA_NORM_WEIGHT, B = MEGA_NORM_BIAS };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_norm *a = c->attr;
    int64_t D = mega_width(c->in[X]), gains = a->kind == MEGA_NORM_SCALE ? 1 : D;
    if (c->in[W] && mega_count(c->in[W]) != gains)
        return mega_op_refuse(c, "weight", c->in[W], "[%lld]", (long long)gains);
    if (c->in[B] && mega_count(c->in[B]) != D)
        return mega_op_refuse(c, "bias", c->in[B], "[%lld]", (long long)D);
    out[0] = mega_activation(c, c->in[X]);
    return MEGA_OK;
}

struct moments {
    double mean, factor; /* subtracted; 1 / sqrt(... + eps) */
    bool fixed;          /* the guard is the divisor: it knows nothing of x */
};

static struct moments moments_of(const struct mega_call *c, int64_t r)
{
    const struct mega_attr_norm *a = c->attr;
    int64_t D = mega_width(c->in[X]);
    double mean = 0, squares = 0;
    if (a->kind == MEGA_NORM_LAYER)
        for (int64_t j = 0; j < D; j++) mean += mega_get(c->in[X], r, j) / (double)D;
    for (int64_t j = 0; j < D; j++) {
        double x = mega_get(c->in[X], r, j) - mean;
        squares += x * x;
    }
    if (!a->guard)
        return (struct moments){ mean, 1 / sqrt(squares / (double)D + a->eps), false };
    double root = sqrt(squares / (double)D), least = a->eps / sqrt((double)D);
    return (struct moments){ mean, 1 / fmax(root, least), root < least };
}

static double gain(const struct mega_call *c, int64_t j)
{
    const struct mega_attr_norm *a = c->attr;
    if (!c->in[W]) return 1;
    return mega_get(c->in[W], 0, a->kind == MEGA_NORM_SCALE ? 0 : j) + (a->unit_offset ? 1 : 0);
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, rows = mega_height(c->in[X]), D = mega_width(c->in[X]); r < rows; r++) {
        struct moments m = moments_of(c, r);
        for (int64_t j = 0; j < D; j++) {
            double y = (mega_get(c->in[X], r, j) - m.mean) * m.factor * gain(c, j);
            mega_put(c->out[0], r, j, y + (c->in[B] ? mega_get(c->in[B], 0, j) : 0));
        }
    }
}

/* with n = (x - mean) f and e = dy w:  dx = f (e - n mean(e n) - [layer] mean(e)) */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_norm *a = c->attr;
    int64_t rows = mega_height(c->in[X]), D = mega_width(c->in[X]);
    double *dw = mega_scratch(c->work, 2 * (size_t)D * sizeof *dw), *db = dw + D;
    for (int64_t j = 0; j < 2 * D; j++) dw[j] = 0;
    mega_grads_begin(g);
    for (int64_t r = 0; r < rows; r++) {
        struct moments m = moments_of(c, r);
        double mean_e = 0, mean_en = 0;
        for (int64_t j = 0; j < D; j++) {
            double n = (mega_get(c->in[X], r, j) - m.mean) * m.factor,
                   dy = mega_grad_out(g, 0, r, j);
            double e = dy * gain(c, j);
            mean_e += e / (double)D;
            mean_en += e * n / (double)D;
            dw[j] += dy * n;
            db[j] += dy;
        }
        if (a->kind != MEGA_NORM_LAYER) mean_e = 0;
        if (m.fixed) mean_en = 0;
        for (int64_t j = 0; j < D; j++) {
            double n = (mega_get(c->in[X], r, j) - m.mean) * m.factor,
                   e = mega_grad_out(g, 0, r, j) * gain(c, j);
            mega_grad_add(g, X, r, j, m.factor * (e - n * mean_en - mean_e));
        }
    }
    for (int64_t j = 1; a->kind == MEGA_NORM_SCALE && j < D; j++) dw[0] += dw[j];
    for (int64_t j = 0; j < (a->kind == MEGA_NORM_SCALE ? 1 : D); j++)
        mega_grad_add(g, W, 0, j, dw[j]);
    for (int64_t j = 0; j < D; j++) mega_grad_add(g, B, 0, j, db[j]);
}

const struct mega_op mega_op_norm = {
    .name = "norm",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << W | 1u << B,
    .attr_size = sizeof(struct mega_attr_norm),
    .shape = shape,
    .cheap = true,
    .unread = 1u << B,
    .by_rows = 1u << MEGA_NORM_X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
