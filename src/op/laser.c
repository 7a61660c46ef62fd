/* laser: attention with logarithms of averaged exponentials (LASER, 2411.03493). On the way in
 * y = exp(c tanh(x / c)), so that no exponential overflows; on the way out (c = 0) y = log(x),
 * of at least 1e-20. */
#include <math.h>

#include "op/contracts.h"

static const double least = 1e-20;

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_laser *a = c->attr;
    if (!(a->clamp >= 0) || a->clamp > 80)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "laser: clamp is %g, expected a number up to 80, or 0 for the way out", a->clamp);
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_laser *a = c->attr;
    for (int64_t r = 0, rows = mega_height(c->in[0]), n = mega_width(c->in[0]); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            double x = mega_get(c->in[0], r, j);
            mega_put(c->out[0], r, j,
                a->clamp > 0 ? exp(a->clamp * tanh(x / a->clamp)) : log(fmax(x, least)));
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_laser *a = c->attr;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]), n = mega_width(c->in[0]); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            double x = mega_get(c->in[0], r, j), d = mega_grad_out(g, 0, r, j);
            double t = a->clamp > 0 ? tanh(x / a->clamp) : 0;
            if (a->clamp > 0)
                mega_grad_add(g, 0, r, j, d * exp(a->clamp * t) * (1 - t * t));
            else
                mega_grad_add(g, 0, r, j, x > least ? d / x : 0);
        }
}

const struct mega_op mega_op_laser = {
    .name = "laser",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_laser),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
