/* dropout: y = x * m, m = 0 with probability p, else 1 / (1 - p); the identity outside
 * training. Nothing is stored: the backward pass draws the same bits again (draw.h). */
#include "op/draw.h"

double mega_dropout_factor(const struct mega_call *c, double p, enum mega_dropout_kind kind,
    int64_t b, int64_t t, int64_t d)
{
    const struct mega_rows *rows = c->rows;
    int64_t place = kind == MEGA_DROPOUT_FEATURES ? 0 : mega_rows_place(rows, b) + t;
    return mega_draw(mega_draw_key(c), mega_draw_low(place),
        mega_draw_high(mega_rows_number(rows, b), d / 4), d, p);
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    if (mega_height(c->in[0]) != c->rows->B * c->rows->T)
        return mega_op_refuse(
            c, "x", c->in[0], "%lld rows", (long long)(c->rows->B * c->rows->T));
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

static double factor(const struct mega_call *c, int64_t r, int64_t j)
{
    const struct mega_attr_dropout *a = c->attr;
    if (!mega_dropout_acts(c, a->p)) return 1;
    return mega_dropout_factor(c, a->p, a->kind, r / c->rows->T, r % c->rows->T, j);
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, mega_get(c->in[0], r, j) * factor(c, r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]), width = mega_width(c->in[0]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++)
            mega_grad_add(g, 0, r, j, mega_grad_out(g, 0, r, j) * factor(c, r, j));
}

const struct mega_op mega_op_dropout = {
    .name = "dropout",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_dropout),
    .shape = shape,
    .cheap = true,
    .unread = 1u << 0,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
