/* log_sum: y = log sum_i exp(x_i), number by number (mixtures of softmaxes: 1711.03953;
 * sigsoftmax: 1805.10829). */
#include <math.h>

#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    for (int i = 1; i < MEGA_LOG_SUM_MOST; i++)
        if (c->in[i] && !mega_same_shape(c->in[i], c->in[0]))
            return mega_op_refuse(c, "x", c->in[i], "the shape of the first one");
    out[0] = mega_like(c->in[0], mega_wide_type(c));
    return MEGA_OK;
}

static double value(const struct mega_call *c, int64_t r, int64_t j)
{
    const struct mega_attr_log_sum *a = c->attr;
    double most = a->one ? 0 : -INFINITY, sum = 0;
    for (int i = 0; i < MEGA_LOG_SUM_MOST; i++)
        if (c->in[i]) most = fmax(most, mega_get(c->in[i], r, j));
    for (int i = 0; i < MEGA_LOG_SUM_MOST; i++)
        if (c->in[i]) sum += exp(mega_get(c->in[i], r, j) - most);
    return most + log(sum + (a->one ? exp(-most) : 0));
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->in[0]); r++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mega_put(c->out[0], r, j, value(c, r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[0]); r++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++) {
            double y = value(c, r, j), dy = mega_grad_out(g, 0, r, j);
            for (int i = 0; i < MEGA_LOG_SUM_MOST; i++)
                if (c->in[i]) mega_grad_add(g, i, r, j, dy * exp(mega_get(c->in[i], r, j) - y));
        }
}

const struct mega_op mega_op_log_sum = {
    .name = "log_sum",
    .n_in = MEGA_LOG_SUM_MOST,
    .n_out = 1,
    .optional = 0x7FFEu,
    .attr_size = sizeof(struct mega_attr_log_sum),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
