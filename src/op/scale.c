/* scale: y = factor w x, channel by channel (LayerScale: Touvron et al., 2021; the rescaled
 * feed-forward of Megalodon). */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[MEGA_SCALE_X], *w = c->in[MEGA_SCALE_WEIGHT];
    if (w && mega_count(w) != mega_width(x))
        return mega_op_refuse(c, "weight", w, "[%lld]", (long long)mega_width(x));
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static double weight(const struct mega_call *c, int64_t j)
{
    return c->in[MEGA_SCALE_WEIGHT] ? mega_get(c->in[MEGA_SCALE_WEIGHT], 0, j) : 1;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_scale *a = c->attr;
    const mega_tensor *x = c->in[MEGA_SCALE_X];
    for (int64_t r = 0, rows = mega_height(x), width = mega_width(x); r < rows; r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, a->factor * weight(c, j) * mega_get(x, r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_scale *a = c->attr;
    const mega_tensor *x = c->in[MEGA_SCALE_X];
    mega_grads_begin(g);
    for (int64_t j = 0, rows = mega_height(x), width = mega_width(x); j < width; j++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) {
            double d = mega_grad_out(g, 0, r, j) * a->factor;
            sum += d * mega_get(x, r, j);
            mega_grad_add(g, MEGA_SCALE_X, r, j, d * weight(c, j));
        }
        mega_grad_add(g, MEGA_SCALE_WEIGHT, 0, j, sum);
    }
}

const struct mega_op mega_op_scale = {
    .name = "scale",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << MEGA_SCALE_WEIGHT,
    .attr_size = sizeof(struct mega_attr_scale),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u << MEGA_SCALE_X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
