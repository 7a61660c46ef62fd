/* add: y = a + b. */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    if (!mega_same_shape(c->in[0], c->in[1]))
        return mega_op_refuse(c, "b", c->in[1], "the shape of a");
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, mega_get(c->in[0], r, j) + mega_get(c->in[1], r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++) {
            double d = mega_grad_out(g, 0, r, j);
            mega_grad_add(g, 0, r, j, d);
            mega_grad_add(g, 1, r, j, d);
        }
}

const struct mega_op mega_op_add = {
    .name = "add",
    .n_in = 2,
    .n_out = 1,
    .shape = shape,
    .cheap = true,
    .unread = 1u << 0 | 1u << 1,
    .by_rows = 3u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
