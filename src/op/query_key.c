/* query_key: s = silu(z);  q = s gamma[0] + beta[0],  k = s gamma[1] + beta[1] (Mega
 * section 5.2, lines 7-8). */
#include "op/act.h"

enum { Z = MEGA_QUERY_KEY_Z, GAMMA = MEGA_QUERY_KEY_GAMMA, BETA = MEGA_QUERY_KEY_BETA };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    int64_t width = mega_width(c->in[Z]);
    for (int i = GAMMA; i <= BETA; i++)
        if (mega_dim(c->in[i], 0) != 2 || mega_dim(c->in[i], 1) != width)
            return mega_op_refuse(
                c, i == GAMMA ? "gamma" : "beta", c->in[i], "[2, %lld]", (long long)width);
    out[0] = out[1] = mega_activation(c, c->in[Z]);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, rows = mega_height(c->in[Z]), width = mega_width(c->in[Z]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++) {
            double s = mega_act(MEGA_ACT_SILU, mega_get(c->in[Z], r, j));
            for (int i = 0; i < 2; i++)
                mega_put(c->out[i], r, j,
                    s * mega_get(c->in[GAMMA], i, j) + mega_get(c->in[BETA], i, j));
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    int64_t rows = mega_height(c->in[Z]), width = mega_width(c->in[Z]);
    for (int64_t j = 0; j < width; j++) {
        double d_gamma[2] = { 0 }, d_beta[2] = { 0 };
        for (int64_t r = 0; r < rows; r++) {
            double z = mega_get(c->in[Z], r, j), s = mega_act(MEGA_ACT_SILU, z), ds = 0;
            for (int i = 0; i < 2; i++) {
                double d = mega_grad_out(g, i, r, j);
                ds += d * mega_get(c->in[GAMMA], i, j);
                d_gamma[i] += d * s;
                d_beta[i] += d;
            }
            mega_grad_add(g, Z, r, j, ds * mega_act_slope(MEGA_ACT_SILU, z));
        }
        for (int i = 0; i < 2; i++) {
            mega_grad_add(g, GAMMA, i, j, d_gamma[i]);
            mega_grad_add(g, BETA, i, j, d_beta[i]);
        }
    }
}

const struct mega_op mega_op_query_key = {
    .name = "query_key",
    .n_in = 3,
    .n_out = 2,
    .shape = shape,
    .cheap = true,
    .by_rows = 1u << MEGA_QUERY_KEY_Z,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
