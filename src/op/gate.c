/* gate: y = x * act(g), element by element. */
#include "op/act.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[MEGA_GATE_X], *g = c->in[MEGA_GATE_G];
    if (!mega_same_shape(x, g)) return mega_op_refuse(c, "the gate", g, "the shape of x");
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_gate *a = c->attr;
    const mega_tensor *x = c->in[MEGA_GATE_X], *g = c->in[MEGA_GATE_G];
    for (int64_t r = 0, rows = mega_height(x), width = mega_width(x); r < rows; r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, mega_get(x, r, j) * mega_act(a->act, mega_get(g, r, j)));
}

static void backward(const struct mega_call *c, struct mega_grads *grads)
{
    const struct mega_attr_gate *a = c->attr;
    const mega_tensor *x = c->in[MEGA_GATE_X], *g = c->in[MEGA_GATE_G];
    mega_grads_begin(grads);
    for (int64_t r = 0, rows = mega_height(x), width = mega_width(x); r < rows; r++)
        for (int64_t j = 0; j < width; j++) {
            double d = mega_grad_out(grads, 0, r, j), gate = mega_get(g, r, j);
            mega_grad_add(grads, MEGA_GATE_X, r, j, d * mega_act(a->act, gate));
            mega_grad_add(
                grads, MEGA_GATE_G, r, j, d * mega_get(x, r, j) * mega_act_slope(a->act, gate));
        }
}

const struct mega_op mega_op_gate = {
    .name = "gate",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_gate),
    .shape = shape,
    .cheap = true,
    .by_rows = 3u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
