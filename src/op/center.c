/* center: x less its mean over the real places of a row, or that mean (mean-variance split
 * residuals: 2605.06169). The gradient is the same map of the gradient. */
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

/* channel j of row b of `from`, mapped, is put into or added to `to` */
static void map(const struct mega_call *c, const mega_tensor *from, mega_tensor *to, bool add,
    int64_t b, int64_t j)
{
    const struct mega_attr_center *a = c->attr;
    int64_t T = c->rows->T, n = 0;
    double mean = 0;
    for (int64_t t = 0; t < T; t++)
        if (mega_rows_real(c->rows, b, t)) {
            mean += mega_get(from, b * T + t, j);
            n++;
        }
    if (n) mean /= (double)n;
    for (int64_t t = 0; t < T; t++) {
        double y = a->mean ? mean : mega_get(from, b * T + t, j) - mean;
        if (!mega_rows_real(c->rows, b, t)) y = 0;
        if (add)
            mega_add_to(to, b * T + t, j, y);
        else
            mega_put(to, b * T + t, j, y);
    }
}

static void forward(const struct mega_call *c)
{
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            map(c, c->in[0], c->out[0], false, b, j);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    if (!g->in[0] || !g->out[0]) return;
    for (int64_t b = 0; b < c->rows->B; b++)
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            map(c, g->out[0], g->in[0], true, b, j);
}

const struct mega_op mega_op_center = {
    .name = "center",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_center),
    .shape = shape,
    .unread = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
