/* batch_norm: y = (x - mean) / sqrt(var + eps) * w + b per channel (Mega section 2.4).
 * Training: mean and population variance over all B*T places, padding included; running values
 * move by `momentum` towards the batch's, the variance with its unbiased estimate n / (n - 1).
 * Otherwise the running values serve. */
#include <math.h>

#include "op/contracts.h"

enum {
    X = MEGA_BATCH_NORM_X,
    W = MEGA_BATCH_NORM_WEIGHT,
    B = MEGA_BATCH_NORM_BIAS,
    MEAN = MEGA_BATCH_NORM_MEAN,
    VAR = MEGA_BATCH_NORM_VAR
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    static const char *names[] = { "x", "weight", "bias", "running mean", "running variance" };
    int64_t D = mega_width(c->in[X]);
    for (int i = W; i <= VAR; i++)
        if (c->in[i] && mega_count(c->in[i]) != D)
            return mega_op_refuse(c, names[i], c->in[i], "[%lld]", (long long)D);
    out[0] = mega_activation(c, c->in[X]);
    if (!(c->mode & MEGA_RUN_TRAIN)) return MEGA_OK;
    if (mega_height(c->in[X]) < 2)
        return mega_op_refuse(c, "x", c->in[X],
            "at least 2 places: a batch of one has no variance to train with");
    out[1] = mega_like(c->in[MEAN], c->in[MEAN]->dtype);
    out[2] = mega_like(c->in[VAR], c->in[VAR]->dtype);
    return MEGA_OK;
}

struct moments {
    double mean, var;
};

static struct moments batch_moments(const mega_tensor *x, int64_t j)
{
    int64_t n = mega_height(x);
    struct moments m = { 0 };
    for (int64_t r = 0; r < n; r++) m.mean += mega_get(x, r, j) / (double)n;
    for (int64_t r = 0; r < n; r++) {
        double d = mega_get(x, r, j) - m.mean;
        m.var += d * d / (double)n;
    }
    return m;
}

static struct moments moments_of(const struct mega_call *c, int64_t j)
{
    if (c->mode & MEGA_RUN_TRAIN) return batch_moments(c->in[X], j);
    return (struct moments){ mega_get(c->in[MEAN], 0, j), mega_get(c->in[VAR], 0, j) };
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_batch_norm *a = c->attr;
    int64_t n = mega_height(c->in[X]), D = mega_width(c->in[X]);
    for (int64_t j = 0; j < D; j++) {
        struct moments m = moments_of(c, j);
        double factor = (c->in[W] ? mega_get(c->in[W], 0, j) : 1) / sqrt(m.var + a->eps);
        double bias = c->in[B] ? mega_get(c->in[B], 0, j) : 0;
        for (int64_t r = 0; r < n; r++)
            mega_put(c->out[0], r, j, (mega_get(c->in[X], r, j) - m.mean) * factor + bias);
        if (!c->out[1]) continue;
        double old = 1 - a->momentum, unbiased = m.var * (double)n / (double)(n - 1);
        mega_put(c->out[1], 0, j, old * mega_get(c->in[MEAN], 0, j) + a->momentum * m.mean);
        mega_put(c->out[2], 0, j, old * mega_get(c->in[VAR], 0, j) + a->momentum * unbiased);
    }
}

/* with z = (x - mean) f and e = dy w:  dx = f (e - mean(e) - z mean(e z)); running statistics:
 * dx = f e */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_batch_norm *a = c->attr;
    int64_t n = mega_height(c->in[X]), D = mega_width(c->in[X]);
    mega_grads_begin(g);
    for (int64_t j = 0; j < D; j++) {
        struct moments m = moments_of(c, j);
        double f = 1 / sqrt(m.var + a->eps), w = c->in[W] ? mega_get(c->in[W], 0, j) : 1,
               db = 0, dw = 0;
        for (int64_t r = 0; r < n; r++) {
            double dy = mega_grad_out(g, 0, r, j);
            db += dy;
            dw += dy * (mega_get(c->in[X], r, j) - m.mean) * f;
        }
        bool train = c->mode & MEGA_RUN_TRAIN;
        double mean_e = train ? w * db / (double)n : 0,
               mean_ez = train ? w * dw / (double)n : 0;
        for (int64_t r = 0; r < n; r++) {
            double z = (mega_get(c->in[X], r, j) - m.mean) * f;
            mega_grad_add(
                g, X, r, j, f * (w * mega_grad_out(g, 0, r, j) - mean_e - z * mean_ez));
        }
        mega_grad_add(g, W, 0, j, dw);
        mega_grad_add(g, B, 0, j, db);
    }
}

const struct mega_op mega_op_batch_norm = {
    .name = "batch_norm",
    .n_in = 5,
    .n_out = 3,
    .optional = 1u << W | 1u << B,
    .attr_size = sizeof(struct mega_attr_batch_norm),
    .shape = shape,
    .unread = 1u << B,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
