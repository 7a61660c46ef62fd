/* concat: y = [a ; b] along the last dimension. */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *a = c->in[0], *b = c->in[1];
    if (a->rank != b->rank || mega_height(a) != mega_height(b))
        return mega_op_refuse(c, "b", b, "as many rows as a");
    out[0] = mega_activation(c, a);
    out[0].dim[a->rank - 1] = out[0].stride = mega_width(a) + mega_width(b);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    int64_t rows = mega_height(c->in[0]);
    for (int i = 0; i < 2; i++)
        for (int64_t r = 0, from = i ? mega_width(c->in[0]) : 0; r < rows; r++)
            for (int64_t j = 0; j < mega_width(c->in[i]); j++)
                mega_put(c->out[0], r, from + j, mega_get(c->in[i], r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t rows = mega_height(c->in[0]);
    mega_grads_begin(g);
    for (int i = 0; i < 2; i++)
        for (int64_t r = 0, from = i ? mega_width(c->in[0]) : 0; r < rows; r++)
            for (int64_t j = 0; j < mega_width(c->in[i]); j++)
                mega_grad_add(g, i, r, j, mega_grad_out(g, 0, r, from + j));
}

const struct mega_op mega_op_concat = {
    .name = "concat",
    .n_in = 2,
    .n_out = 1,
    .shape = shape,
    .unread = 1u << 0 | 1u << 1,
    .by_rows = 3u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
