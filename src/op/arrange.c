/* arrange: places of a row in another order, some left out, learned rows put between them
 * (memory tokens: 2006.11527; class tokens). */
#include "op/contracts.h"

enum { X = MEGA_ARRANGE_X, INDEX = MEGA_ARRANGE_INDEX, EXTRA = MEGA_ARRANGE_EXTRA };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *index = c->in[INDEX], *extra = c->in[EXTRA];
    if (x->rank != 3) return mega_op_refuse(c, "x", x, "[B, T, D]");
    if (index->dtype != MEGA_I32 || index->rank != 2 || index->dim[0] != x->dim[0])
        return mega_op_refuse(c, "index", index, "[%lld, T] I32", (long long)x->dim[0]);
    if (extra && mega_width(extra) != mega_width(x))
        return mega_op_refuse(c, "extra", extra, "[R, %lld]", (long long)mega_width(x));
    mega_tensor y = mega_activation(c, x);
    out[0] = mega_shaped(y.dtype, 3, x->dim[0], index->dim[1], x->dim[2], 0);
    return MEGA_OK;
}

/* a row is read once, from x or from extra */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)flops;
    *bytes = (double)(mega_size(c->in[INDEX]) + 2 * mega_size(c->out[0]));
}

/* the tensor and its row that place r of y is; NULL: zero */
static int source(const struct mega_call *c, int64_t r, int64_t *row)
{
    int64_t T = c->in[X]->dim[1], all = c->in[INDEX]->dim[1];
    int32_t i = ((const int32_t *)c->in[INDEX]->data)[r];
    if (i == MEGA_ARRANGE_NOTHING) return -1;
    *row = i < 0 ? -1 - (int64_t)i : r / all * T + i;
    return i < 0 ? EXTRA : X;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->out[0]); r++) {
        int64_t row = 0;
        int from = source(c, r, &row);
        for (int64_t j = 0; j < mega_width(c->in[X]); j++)
            mega_put(c->out[0], r, j, from < 0 ? 0 : mega_get(c->in[from], row, j));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->out[0]); r++) {
        int64_t row = 0;
        int from = source(c, r, &row);
        for (int64_t j = 0; from >= 0 && j < mega_width(c->in[X]); j++)
            mega_grad_add(g, from, row, j, mega_grad_out(g, 0, r, j));
    }
}

const struct mega_op mega_op_arrange = {
    .name = "arrange",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << EXTRA,
    .shape = shape,
    .unread = 1u << X | 1u << EXTRA,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
