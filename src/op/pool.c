/* pool: one vector a row. mean: (sum over t of x[b, t]) / places in use (Mega divides by
 * src_lengths; padding has been zeroed by then); a row without any place gives 0. first: x[b,
 * 0]. */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[0];
    if (x->rank != 3 || x->dim[0] != c->rows->B || x->dim[1] != c->rows->T)
        return mega_op_refuse(
            c, "x", x, "[%lld, %lld, D]", (long long)c->rows->B, (long long)c->rows->T);
    out[0] = mega_shaped(mega_wide_type(c), 2, x->dim[0], x->dim[2], 0, 0);
    return MEGA_OK;
}

/* weight of place t in its row's vector */
static double weight(const struct mega_call *c, int64_t b, int64_t t)
{
    const struct mega_attr_pool *a = c->attr;
    int64_t len = mega_rows_len(c->rows, b);
    if (a->kind == MEGA_POOL_FIRST) return t == 0;
    return len > 0 ? 1 / (double)len : 0;
}

/* the first places alone may be asked for */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    const struct mega_attr_pool *a = c->attr;
    (void)flops;
    if (a->kind == MEGA_POOL_FIRST) *bytes = 2 * (double)mega_size(c->out[0]);
}

static void forward(const struct mega_call *c)
{
    int64_t T = c->rows->T;
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t d = 0, D = mega_width(c->in[0]); d < D; d++) {
            double sum = 0;
            for (int64_t t = 0; t < T; t++)
                if (weight(c, b, t) > 0)
                    sum += weight(c, b, t) * mega_get(c->in[0], b * T + t, d);
            mega_put(c->out[0], b, d, sum);
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t T = c->rows->T;
    mega_grads_begin(g);
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t d = 0, D = mega_width(c->in[0]); d < D; d++)
                mega_grad_add(g, 0, b * T + t, d, weight(c, b, t) * mega_grad_out(g, 0, b, d));
}

const struct mega_op mega_op_pool = {
    .name = "pool",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_pool),
    .shape = shape,
    .unread = 1u << 0,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
