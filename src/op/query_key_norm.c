/* query_key_norm: normalised attention's queries and keys (Megalodon, section 3.5 of the
 * specification). Each head of d channels for itself, without parameters of its own:
 *
 *   zn = z / sqrt(mean(z^2) + eps)
 *   q = zn (gamma[0] + 1) / sqrt(d) + beta[0],   k = zn (gamma[1] + 1) / sqrt(d) + beta[1] */
#include <math.h>

#include "op/contracts.h"

enum { Z = MEGA_QUERY_KEY_Z, GAMMA = MEGA_QUERY_KEY_GAMMA, BETA = MEGA_QUERY_KEY_BETA };

static int64_t head_width(const struct mega_call *c)
{
    return mega_width(c->in[Z]) / ((const struct mega_attr_query_key_norm *)c->attr)->heads;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_query_key_norm *a = c->attr;
    int64_t width = mega_width(c->in[Z]);
    if (a->heads < 1 || width % a->heads)
        return mega_op_refuse(
            c, "z", c->in[Z], "[.., a multiple of %lld heads]", (long long)a->heads);
    for (int i = GAMMA; i <= BETA; i++)
        if (mega_dim(c->in[i], 0) != 2 || mega_dim(c->in[i], 1) != width)
            return mega_op_refuse(
                c, i == GAMMA ? "gamma" : "beta", c->in[i], "[2, %lld]", (long long)width);
    out[0] = out[1] = mega_activation(c, c->in[Z]);
    return MEGA_OK;
}

/* 1 / sqrt(mean(z^2) + eps) of the d columns from ... on */
static double factor(const struct mega_call *c, int64_t r, int64_t from, int64_t d)
{
    const struct mega_attr_query_key_norm *a = c->attr;
    double squares = 0;
    for (int64_t j = from; j < from + d; j++)
        squares += mega_get(c->in[Z], r, j) * mega_get(c->in[Z], r, j);
    return 1 / sqrt(squares / (double)d + a->eps);
}

static double gain(const struct mega_call *c, int i, int64_t j)
{
    return (mega_get(c->in[GAMMA], i, j) + 1) / sqrt((double)head_width(c));
}

static void forward(const struct mega_call *c)
{
    int64_t width = mega_width(c->in[Z]), d = head_width(c);
    for (int64_t r = 0; r < mega_height(c->in[Z]); r++)
        for (int64_t j = 0; j < width; j++) {
            double zn = mega_get(c->in[Z], r, j) * factor(c, r, j / d * d, d);
            for (int i = 0; i < 2; i++)
                mega_put(c->out[i], r, j, zn * gain(c, i, j) + mega_get(c->in[BETA], i, j));
        }
}

/* with e = dq gain_q + dk gain_k:  dz = f (e - zn mean(e zn)) */
static void head_back(
    const struct mega_call *c, int64_t r, int64_t from, int64_t d, struct mega_grads *g)
{
    double f = factor(c, r, from, d), mean = 0;
    for (int64_t j = from; j < from + d; j++)
        for (int i = 0; i < 2; i++)
            mean += mega_grad_out(g, i, r, j) * gain(c, i, j) * mega_get(c->in[Z], r, j) * f /
                    (double)d;
    for (int64_t j = from; j < from + d; j++) {
        double zn = mega_get(c->in[Z], r, j) * f, e = 0;
        for (int i = 0; i < 2; i++) {
            double dy = mega_grad_out(g, i, r, j);
            e += dy * gain(c, i, j);
            mega_grad_add(g, GAMMA, i, j, dy * zn / sqrt((double)d));
            mega_grad_add(g, BETA, i, j, dy);
        }
        mega_grad_add(g, Z, r, j, f * (e - zn * mean));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t width = mega_width(c->in[Z]), d = head_width(c);
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[Z]); r++)
        for (int64_t from = 0; from < width; from += d) head_back(c, r, from, d, g);
}

const struct mega_op mega_op_query_key_norm = {
    .name = "query_key_norm",
    .n_in = 3,
    .n_out = 2,
    .attr_size = sizeof(struct mega_attr_query_key_norm),
    .shape = shape,
    .cheap = true,
    .unread = 1u << BETA,
    .by_rows = 1u << 0,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
