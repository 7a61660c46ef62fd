/* softmax: y_j = exp(x_j) / sum_i exp(x_i) of each row. */
#include <math.h>

#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

/* the largest of row r, and the sum of the exponentials below it */
static double most_of(const mega_tensor *x, int64_t r, double *sum)
{
    double most = -INFINITY;
    *sum = 0;
    for (int64_t j = 0; j < mega_width(x); j++) most = fmax(most, mega_get(x, r, j));
    for (int64_t j = 0; j < mega_width(x); j++) *sum += exp(mega_get(x, r, j) - most);
    return most;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0; r < mega_height(c->in[0]); r++) {
        double sum, most = most_of(c->in[0], r, &sum);
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mega_put(c->out[0], r, j, exp(mega_get(c->in[0], r, j) - most) / sum);
    }
}

/* dx = y (dy - y.dy) */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[0]); r++) {
        double sum, most = most_of(c->in[0], r, &sum), mean = 0;
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mean += exp(mega_get(c->in[0], r, j) - most) / sum * mega_grad_out(g, 0, r, j);
        for (int64_t j = 0; j < mega_width(c->in[0]); j++)
            mega_grad_add(g, 0, r, j,
                exp(mega_get(c->in[0], r, j) - most) / sum *
                    (mega_grad_out(g, 0, r, j) - mean));
    }
}

const struct mega_op mega_op_softmax = {
    .name = "softmax",
    .n_in = 1,
    .n_out = 1,
    .shape = shape,
    .cheap = true,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
