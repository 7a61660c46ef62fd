/* head_scale: y = g x, a factor for each head of columns: one for all rows (gates of heads:
 * Voita et al., 2019; head scale: Shleifer et al., 2021), for each text, or for each place. */
#include "op/contracts.h"

enum { X = MEGA_HEAD_SCALE_X, G = MEGA_HEAD_SCALE_G };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *g = c->in[G];
    int64_t H = mega_width(g), n = mega_height(g), rows = mega_height(x);
    if (H < 1 || mega_width(x) % H)
        return mega_op_refuse(
            c, "g", g, "a number of heads that divides %lld columns", (long long)mega_width(x));
    if (n != 1 && n != rows && (n != x->dim[0] || !n || rows % n))
        return mega_op_refuse(c, "g", g, "1 row, one for each text of x or one for each place");
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

/* the factor of column j of row r stands at row *row, column *head of g */
static double factor(
    const struct mega_call *c, int64_t r, int64_t j, int64_t *row, int64_t *head)
{
    const mega_tensor *g = c->in[G];
    *row = r * mega_height(g) / mega_height(c->in[X]);
    *head = j * mega_width(g) / mega_width(c->in[X]);
    return mega_get(g, *row, *head);
}

static void forward(const struct mega_call *c)
{
    const mega_tensor *x = c->in[X];
    int64_t row, head;
    for (int64_t r = 0, rows = mega_height(x), width = mega_width(x); r < rows; r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(c->out[0], r, j, factor(c, r, j, &row, &head) * mega_get(x, r, j));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const mega_tensor *x = c->in[X];
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(x), width = mega_width(x); r < rows; r++)
        for (int64_t j = 0; j < width; j++) {
            int64_t row, head;
            double d = mega_grad_out(g, 0, r, j), f = factor(c, r, j, &row, &head);
            mega_grad_add(g, X, r, j, d * f);
            mega_grad_add(g, G, row, head, d * mega_get(x, r, j));
        }
}

const struct mega_op mega_op_head_scale = {
    .name = "head_scale",
    .n_in = 2,
    .n_out = 1,
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
