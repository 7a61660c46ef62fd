/* transpose: y[j, i] = x[i, j]. */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[0];
    if (x->rank != 2) return mega_op_refuse(c, "x", x, "[M, N]");
    out[0] = mega_shaped(x->dtype, 2, x->dim[1], x->dim[0], 0, 0);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    for (int64_t i = 0; i < mega_height(c->in[0]); i++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mega_put(c->out[0], j, i, mega_get(c->in[0], i, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t i = 0; i < mega_height(c->in[0]); i++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mega_grad_add(g, 0, i, j, mega_grad_out(g, 0, j, i));
}

const struct mega_op mega_op_transpose = {
    .name = "transpose",
    .n_in = 1,
    .n_out = 1,
    .shape = shape,
    .unread = 1u << 0,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
