/* gated_residual: h = drop(act(a + b)),  y = x + sigmoid(u) * (h - x).
 * Mega section 5.2, lines 12-14; a is the candidate input, b the projected attention. */
#include "op/act.h"
#include "op/draw.h"

enum {
    X = MEGA_GATED_RESIDUAL_X,
    U = MEGA_GATED_RESIDUAL_U,
    A = MEGA_GATED_RESIDUAL_A,
    B = MEGA_GATED_RESIDUAL_B
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    static const char *names[] = { "x", "u", "a", "b" };
    for (int i = U; i <= B; i++)
        if (!mega_same_shape(c->in[X], c->in[i]))
            return mega_op_refuse(c, names[i], c->in[i], "the shape of x");
    if (mega_height(c->in[X]) != c->rows->B * c->rows->T)
        return mega_op_refuse(
            c, "x", c->in[X], "%lld rows", (long long)(c->rows->B * c->rows->T));
    out[0] = mega_activation(c, c->in[X]);
    return MEGA_OK;
}

static double factor(const struct mega_call *c, int64_t r, int64_t j)
{
    const struct mega_attr_gated_residual *a = c->attr;
    if (!mega_dropout_acts(c, a->dropout)) return 1;
    return mega_dropout_factor(c, a->dropout, a->kind, r / c->rows->T, r % c->rows->T, j);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_gated_residual *a = c->attr;
    for (int64_t r = 0, rows = mega_height(c->in[X]), width = mega_width(c->in[X]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++) {
            double x = mega_get(c->in[X], r, j),
                   u = mega_act(MEGA_ACT_SIGMOID, mega_get(c->in[U], r, j));
            double h = factor(c, r, j) *
                       mega_act(a->act, mega_get(c->in[A], r, j) + mega_get(c->in[B], r, j));
            mega_put(c->out[0], r, j, x + u * (h - x));
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_gated_residual *a = c->attr;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[X]), width = mega_width(c->in[X]); r < rows;
         r++)
        for (int64_t j = 0; j < width; j++) {
            double x = mega_get(c->in[X], r, j),
                   u = mega_act(MEGA_ACT_SIGMOID, mega_get(c->in[U], r, j));
            double inside = mega_get(c->in[A], r, j) + mega_get(c->in[B], r, j),
                   keep = factor(c, r, j);
            double dy = mega_grad_out(g, 0, r, j), h = keep * mega_act(a->act, inside);
            double dh = dy * u * keep * mega_act_slope(a->act, inside);
            mega_grad_add(g, X, r, j, dy * (1 - u));
            mega_grad_add(g, U, r, j, dy * (h - x) * u * (1 - u));
            mega_grad_add(g, A, r, j, dh);
            mega_grad_add(g, B, r, j, dh);
        }
}

const struct mega_op mega_op_gated_residual = {
    .name = "gated_residual",
    .n_in = 4,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_gated_residual),
    .shape = shape,
    .cheap = true,
    .by_rows = 0xFu,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
