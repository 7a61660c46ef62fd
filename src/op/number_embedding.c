/* number_embedding: y[b, t] = x[b, t] * weight + bias (pixels, samples; Mega section 8.1). */
#include "op/contracts.h"

enum { X = MEGA_NUMBER_X, W = MEGA_NUMBER_WEIGHT, B = MEGA_NUMBER_BIAS };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *w = c->in[W], *b = c->in[B];
    if (x->rank != 2) return mega_op_refuse(c, "x", x, "[B, T]");
    if (mega_count(b) != mega_count(w))
        return mega_op_refuse(c, "bias", b, "the shape of weight");
    out[0] = mega_shaped(c->dtype, 3, x->dim[0], x->dim[1], mega_count(w), 0);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    int64_t T = c->in[X]->dim[1], D = mega_count(c->in[W]);
    for (int64_t i = 0, n = mega_count(c->in[X]); i < n; i++)
        for (int64_t d = 0; d < D; d++)
            mega_put(c->out[0], i, d,
                mega_get(c->in[X], i / T, i % T) * mega_get(c->in[W], 0, d) +
                    mega_get(c->in[B], 0, d));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t T = c->in[X]->dim[1], n = mega_count(c->in[X]), D = mega_count(c->in[W]);
    mega_grads_begin(g);
    for (int64_t d = 0; d < D; d++) {
        double dw = 0, db = 0;
        for (int64_t i = 0; i < n; i++) {
            double dy = mega_grad_out(g, 0, i, d);
            dw += dy * mega_get(c->in[X], i / T, i % T);
            db += dy;
            mega_grad_add(g, X, i / T, i % T, dy * mega_get(c->in[W], 0, d));
        }
        mega_grad_add(g, W, 0, d, dw);
        mega_grad_add(g, B, 0, d, db);
    }
}

const struct mega_op mega_op_number_embedding = {
    .name = "number_embedding",
    .n_in = 3,
    .n_out = 1,
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
