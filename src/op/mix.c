/* mix: y = sum_i w[from + i step] x_i, with weights of each row for itself (hyper-connections:
 * 2409.19606; LIMe: 2502.09245). */
#include "op/contracts.h"

enum { W = MEGA_MIX_WEIGHTS, X = MEGA_MIX_X };

static int64_t column(const struct mega_call *c, int i)
{
    const struct mega_attr_mix *a = c->attr;
    return a->from + (i - X) * a->step;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *w = c->in[W], *x = c->in[X];
    if (mega_height(w) != mega_height(x))
        return mega_op_refuse(
            c, "weights", w, "a row for each of %lld", (long long)mega_height(x));
    for (int i = X; i < MEGA_MIX_INPUTS; i++) {
        if (!c->in[i]) continue;
        if (!mega_same_shape(c->in[i], x))
            return mega_op_refuse(c, "x", c->in[i], "the shape of the first one");
        if (column(c, i) < 0 || column(c, i) >= mega_width(w))
            return mega_op_refuse(c, "weights", w, "a column %lld", (long long)column(c, i));
    }
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->in[X]); r++)
        for (int64_t j = 0; j < mega_width(c->in[X]); j++) {
            double y = 0;
            for (int i = X; i < MEGA_MIX_INPUTS; i++)
                if (c->in[i])
                    y += mega_get(c->in[W], r, column(c, i)) * mega_get(c->in[i], r, j);
            mega_put(c->out[0], r, j, y);
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[X]); r++)
        for (int i = X; i < MEGA_MIX_INPUTS; i++) {
            if (!c->in[i]) continue;
            double w = mega_get(c->in[W], r, column(c, i)), sum = 0;
            for (int64_t j = 0; j < mega_width(c->in[X]); j++) {
                double d = mega_grad_out(g, 0, r, j);
                sum += d * mega_get(c->in[i], r, j);
                mega_grad_add(g, i, r, j, d * w);
            }
            mega_grad_add(g, W, r, column(c, i), sum);
        }
}

const struct mega_op mega_op_mix = {
    .name = "mix",
    .n_in = MEGA_MIX_INPUTS,
    .n_out = 1,
    .optional = 0xFFFFu & ~(1u << W | 1u << X),
    .attr_size = sizeof(struct mega_attr_mix),
    .shape = shape,
    .cheap = true,
    .by_rows = 0xFFFFu,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
