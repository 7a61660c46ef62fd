/* choose: each row of y is that row of one of several x, or zero. What no row chose gets no
 * gradient. */
#include "op/contracts.h"

enum { WHICH = MEGA_CHOOSE_WHICH, X = MEGA_CHOOSE_X };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *which = c->in[WHICH], *x = c->in[X];
    if (which->dtype != MEGA_I32 || mega_count(which) != mega_height(x))
        return mega_op_refuse(c, "which", which, "one number I32 for each of %lld rows",
            (long long)mega_height(x));
    for (int i = X + 1; i < MEGA_IN; i++)
        if (c->in[i] && !mega_same_shape(c->in[i], x))
            return mega_op_refuse(c, "x", c->in[i], "the shape of the first one");
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

/* a row is read once, from one of them */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)flops;
    *bytes = (double)(mega_size(c->in[WHICH]) + mega_size(c->in[X]) + mega_size(c->out[0]));
}

static int64_t which_of(const struct mega_call *c, int64_t r)
{
    return ((const int32_t *)c->in[WHICH]->data)[r];
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->in[X]); r++)
        for (int64_t j = 0, from = which_of(c, r); j < mega_width(c->in[X]); j++)
            mega_put(c->out[0], r, j, from < 0 ? 0 : mega_get(c->in[X + from], r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    uint32_t chosen = 0;
    for (int64_t r = 0; r < mega_height(c->in[X]); r++) {
        int64_t from = which_of(c, r);
        if (from < 0) continue;
        chosen |= 1u << (X + from);
        for (int64_t j = 0; j < mega_width(c->in[X]); j++)
            mega_grad_add(g, X + (int)from, r, j, mega_grad_out(g, 0, r, j));
    }
    g->touched &= chosen;
}

const struct mega_op mega_op_choose = {
    .name = "choose",
    .n_in = MEGA_IN,
    .n_out = 1,
    .optional = ~(1u << WHICH | 1u << X),
    .shape = shape,
    .unread = ~(1u << WHICH),
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
