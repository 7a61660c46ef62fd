/* head_gate: y = x w act(g), one number w and one number g of each place for a whole head of
 * channels: head scale (NormFormer, 2110.09456), gates of heads (2306.12929), a learned scale
 * of queries (log: w = exp(min(weight, log 100)); SwinV2, 2111.09883). */
#include <math.h>

#include "op/act.h"

enum { X = MEGA_HEAD_GATE_X, W = MEGA_HEAD_GATE_WEIGHT, G = MEGA_HEAD_GATE_GATE };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_head_gate *a = c->attr;
    const mega_tensor *x = c->in[X], *w = c->in[W], *g = c->in[G];
    if (a->heads < 1 || mega_width(x) % a->heads)
        return mega_op_refuse(c, "x", x, "[.., a multiple of %lld heads]", (long long)a->heads);
    if (w && mega_count(w) != a->heads && mega_count(w) != 1)
        return mega_op_refuse(c, "weight", w, "[%lld] or [1]", (long long)a->heads);
    if (g && (mega_width(g) != a->heads || mega_height(g) != mega_height(x)))
        return mega_op_refuse(c, "the gate", g, "[%lld rows, %lld heads]",
            (long long)mega_height(x), (long long)a->heads);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static int64_t weight_at(const struct mega_call *c, int64_t h)
{
    return mega_count(c->in[W]) == 1 ? 0 : h;
}

static double weight(const struct mega_call *c, int64_t h)
{
    const struct mega_attr_head_gate *a = c->attr;
    if (!c->in[W]) return 1;
    double w = mega_get(c->in[W], 0, weight_at(c, h));
    return a->log ? exp(fmin(w, log(100))) : w;
}

/* d w / d weight */
static double slope(const struct mega_call *c, int64_t h)
{
    const struct mega_attr_head_gate *a = c->attr;
    if (!a->log) return 1;
    double w = mega_get(c->in[W], 0, weight_at(c, h));
    return w < log(100) ? exp(w) : 0;
}

static double gate(const struct mega_call *c, int64_t r, int64_t h)
{
    const struct mega_attr_head_gate *a = c->attr;
    return c->in[G] ? mega_act(a->act, mega_get(c->in[G], r, h)) : 1;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_head_gate *a = c->attr;
    int64_t width = mega_width(c->in[X]), n = width / a->heads;
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j,
                mega_get(c->in[X], r, j) * weight(c, j / n) * gate(c, r, j / n));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_head_gate *a = c->attr;
    int64_t n = mega_width(c->in[X]) / a->heads;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t h = 0; h < a->heads; h++) {
            double w = weight(c, h), by = gate(c, r, h), dot = 0;
            for (int64_t j = h * n; j < (h + 1) * n; j++) {
                double d = mega_grad_out(g, 0, r, j);
                dot += d * mega_get(c->in[X], r, j);
                mega_grad_add(g, X, r, j, d * w * by);
            }
            if (c->in[W]) mega_grad_add(g, W, 0, weight_at(c, h), dot * by * slope(c, h));
            if (c->in[G])
                mega_grad_add(
                    g, G, r, h, dot * w * mega_act_slope(a->act, mega_get(c->in[G], r, h)));
        }
}

const struct mega_op mega_op_head_gate = {
    .name = "head_gate",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << W | 1u << G,
    .attr_size = sizeof(struct mega_attr_head_gate),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u << X | 1u << G,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
