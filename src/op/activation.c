/* activation: y = act(x), element by element. */
#include "op/act.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_activation *a = c->attr;
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, mega_act(a->act, mega_get(c->in[0], r, j)));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_activation *a = c->attr;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++)
            mega_grad_add(g, 0, r, j,
                mega_grad_out(g, 0, r, j) * mega_act_slope(a->act, mega_get(c->in[0], r, j)));
}

const struct mega_op mega_op_activation = {
    .name = "activation",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_activation),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
