/* rotary_bias: a relative bias from two rotated vectors, in its Toeplitz form (Mega section 4).
 *
 *   theta_m = 10000^(-m / half), half = Z/2;   with e = j - i, the key's place less the
 * query's: bias[n-1+e] = sum_m (A_m B_m + A_m' B_m') cos(e theta_m) + (A_m' B_m - A_m B_m')
 * sin(e theta_m) where m' = m + half, A = alpha, B = beta. */
#include <math.h>

#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_rotary_bias *a = c->attr;
    int64_t Z = mega_width(c->in[0]);
    if (Z % 2)
        return mega_op_refuse(
            c, "alpha", c->in[0], "an even width: rotary positions turn pairs");
    if (mega_width(c->in[1]) != Z)
        return mega_op_refuse(c, "beta", c->in[1], "the shape of alpha");
    out[0] = mega_shaped(mega_wide_type(c), 1, 2 * a->length - 1, 0, 0, 0);
    return MEGA_OK;
}

/* each entry is a product of Z numbers */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 2.0 * (double)mega_count(c->out[0]) * (double)mega_width(c->in[0]);
}

static double angle(int64_t m, int64_t half)
{
    return exp(-(double)m * log(10000.0) / (double)half);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_rotary_bias *a = c->attr;
    int64_t half = mega_width(c->in[0]) / 2;
    for (int64_t i = 0; i < 2 * a->length - 1; i++) {
        double sum = 0, e = (double)(i - a->length + 1);
        for (int64_t m = 0; m < half; m++) {
            double a1 = mega_get(c->in[0], 0, m), a2 = mega_get(c->in[0], 0, m + half);
            double b1 = mega_get(c->in[1], 0, m), b2 = mega_get(c->in[1], 0, m + half);
            double turn = e * angle(m, half);
            sum += (a1 * b1 + a2 * b2) * cos(turn) + (a2 * b1 - a1 * b2) * sin(turn);
        }
        mega_put(c->out[0], 0, i, sum);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_rotary_bias *a = c->attr;
    int64_t half = mega_width(c->in[0]) / 2;
    mega_grads_begin(g);
    for (int64_t m = 0; m < half; m++) {
        double by_cos = 0, by_sin = 0;
        for (int64_t i = 0; i < 2 * a->length - 1; i++) {
            double turn = (double)(i - a->length + 1) * angle(m, half),
                   d = mega_grad_out(g, 0, 0, i);
            by_cos += d * cos(turn);
            by_sin += d * sin(turn);
        }
        double a1 = mega_get(c->in[0], 0, m), a2 = mega_get(c->in[0], 0, m + half);
        double b1 = mega_get(c->in[1], 0, m), b2 = mega_get(c->in[1], 0, m + half);
        mega_grad_add(g, 0, 0, m, b1 * by_cos - b2 * by_sin);
        mega_grad_add(g, 0, 0, m + half, b2 * by_cos + b1 * by_sin);
        mega_grad_add(g, 1, 0, m, a1 * by_cos + a2 * by_sin);
        mega_grad_add(g, 1, 0, m + half, a2 * by_cos - a1 * by_sin);
    }
}

const struct mega_op mega_op_rotary_bias = {
    .name = "rotary_bias",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_rotary_bias),
    .shape = shape,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
