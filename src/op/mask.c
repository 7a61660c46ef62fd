/* mask: y = x at real places, 0 elsewhere. */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[0];
    if (x->rank != 3 || x->dim[0] != c->rows->B || x->dim[1] != c->rows->T)
        return mega_op_refuse(
            c, "x", x, "[%lld, %lld, D]", (long long)c->rows->B, (long long)c->rows->T);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static bool real(const struct mega_call *c, int64_t r)
{
    return mega_rows_real(c->rows, r / c->rows->T, r % c->rows->T);
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, rows = mega_height(c->in[0]), D = mega_width(c->in[0]); r < rows; r++)
        for (int64_t d = 0; d < D; d++)
            mega_put(c->out[0], r, d, real(c, r) ? mega_get(c->in[0], r, d) : 0);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]), D = mega_width(c->in[0]); r < rows; r++)
        for (int64_t d = 0; d < D && real(c, r); d++)
            mega_grad_add(g, 0, r, d, mega_grad_out(g, 0, r, d));
}

const struct mega_op mega_op_mask = {
    .name = "mask",
    .n_in = 1,
    .n_out = 1,
    .shape = shape,
    .cheap = true,
    .unread = 1u << 0,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
