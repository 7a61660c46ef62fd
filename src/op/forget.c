/* forget: running sums of the logarithms of forget gates (Forgetting Transformer, 2503.02130):
 * C_t = C_(t-1) + log sigmoid(x_t). A place that is not real adds nothing. Documents need no
 * new start: what reads C takes differences within a document. */
#include <math.h>

#include "op/contracts.h"

enum { X = MEGA_FORGET_X, BEFORE = MEGA_FORGET_BEFORE };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_forget *a = c->attr;
    const mega_tensor *x = c->in[X], *before = c->in[BEFORE];
    int64_t B = c->rows->B, T = c->rows->T;
    if (x->rank != 3 || x->dim[0] != B || x->dim[1] != T)
        return mega_op_refuse(c, "x", x, "[%lld, %lld, heads]", (long long)B, (long long)T);
    if (before && (mega_height(before) != B || mega_width(before) != x->dim[2]))
        return mega_op_refuse(
            c, "before", before, "[%lld, %lld]", (long long)B, (long long)x->dim[2]);
    out[0] = mega_like(x, mega_wide_type(c));
    if (a->state) out[1] = mega_shaped(mega_wide_type(c), 2, B, x->dim[2], 0, 0);
    return MEGA_OK;
}

static double log_sigmoid(double x)
{
    return fmin(x, 0) - log1p(exp(-fabs(x)));
}

static void forward(const struct mega_call *c)
{
    for (int64_t b = 0, T = c->rows->T; b < c->rows->B; b++)
        for (int64_t h = 0, H = mega_width(c->in[X]); h < H; h++) {
            bool goes_on = c->in[BEFORE] && !mega_rows_fresh(c->rows, b);
            double sum = goes_on ? mega_get(c->in[BEFORE], b, h) : 0;
            for (int64_t t = 0; t < T; t++) {
                if (mega_rows_real(c->rows, b, t))
                    sum += log_sigmoid(mega_get(c->in[X], b * T + t, h));
                mega_put(c->out[0], b * T + t, h, sum);
            }
            if (c->out[1]) mega_put(c->out[1], b, h, sum);
        }
}

/* dx_t = (1 - sigmoid(x_t)) times the sum of what arrives from t on */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t b = 0, T = c->rows->T; b < c->rows->B; b++)
        for (int64_t h = 0, H = mega_width(c->in[X]); h < H; h++) {
            double sum = c->out[1] ? mega_grad_out(g, 1, b, h) : 0;
            for (int64_t t = T - 1; t >= 0; t--) {
                sum += mega_grad_out(g, 0, b * T + t, h);
                if (mega_rows_real(c->rows, b, t))
                    mega_grad_add(
                        g, X, b * T + t, h, sum / (1 + exp(mega_get(c->in[X], b * T + t, h))));
            }
            if (c->in[BEFORE] && !mega_rows_fresh(c->rows, b))
                mega_grad_add(g, BEFORE, b, h, sum);
        }
}

const struct mega_op mega_op_forget = {
    .name = "forget",
    .n_in = 2,
    .n_out = 2,
    .optional = 1u << BEFORE,
    .attr_size = sizeof(struct mega_attr_forget),
    .shape = shape,
    .unread = 1u << BEFORE,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
