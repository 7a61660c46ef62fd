/* orthogonal: y less its part along x, y - (y.x / |x|^2) x, with the product over one place or
 * over the real places of a row (2505.11881). |x|^2 counts as at least 1e-24. */
#include <math.h>

#include "op/contracts.h"

enum { X = MEGA_ORTHOGONAL_X, Y = MEGA_ORTHOGONAL_Y };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *y = c->in[Y];
    if (!mega_same_shape(x, y)) return mega_op_refuse(c, "y", y, "the shape of x");
    if (x->rank != 3 || x->dim[0] != c->rows->B || x->dim[1] != c->rows->T)
        return mega_op_refuse(
            c, "x", x, "[%lld, %lld, D]", (long long)c->rows->B, (long long)c->rows->T);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

/* the rows from `from` to `to` have one product */
struct scope {
    int64_t from, to;
};

static struct scope scope_of(const struct mega_call *c, int64_t i)
{
    const struct mega_attr_orthogonal *a = c->attr;
    int64_t T = c->rows->T;
    return a->sample ? (struct scope){ i * T, i * T + T } : (struct scope){ i, i + 1 };
}

static int64_t scopes(const struct mega_call *c)
{
    const struct mega_attr_orthogonal *a = c->attr;
    return a->sample ? c->rows->B : c->rows->B * c->rows->T;
}

static bool counts(const struct mega_call *c, int64_t r)
{
    const struct mega_attr_orthogonal *a = c->attr;
    return !a->sample || mega_rows_real(c->rows, r / c->rows->T, r % c->rows->T);
}

static double product(
    const struct mega_call *c, struct scope s, const mega_tensor *a, const mega_tensor *b)
{
    double sum = 0;
    for (int64_t r = s.from; r < s.to; r++)
        for (int64_t j = 0; counts(c, r) && j < mega_width(a); j++)
            sum += mega_get(a, r, j) * mega_get(b, r, j);
    return sum;
}

static void forward(const struct mega_call *c)
{
    for (int64_t i = 0; i < scopes(c); i++) {
        struct scope s = scope_of(c, i);
        double part =
            product(c, s, c->in[Y], c->in[X]) / fmax(product(c, s, c->in[X], c->in[X]), 1e-24);
        for (int64_t r = s.from; r < s.to; r++)
            for (int64_t j = 0; j < mega_width(c->in[X]); j++)
                mega_put(c->out[0], r, j,
                    mega_get(c->in[Y], r, j) - part * mega_get(c->in[X], r, j));
    }
}

/* with p = y.x / |x|^2 and q = sum dz.x:  dy = dz - q x / |x|^2,
 * dx = -p dz - q (y - 2 p x) / |x|^2 */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    mega_grads_begin(g);
    for (int64_t i = 0; g->out[0] && i < scopes(c); i++) {
        struct scope s = scope_of(c, i);
        double square = product(c, s, c->in[X], c->in[X]), norm = fmax(square, 1e-24),
               part = product(c, s, c->in[Y], c->in[X]) / norm, q = 0;
        for (int64_t r = s.from; r < s.to; r++)
            for (int64_t j = 0; j < mega_width(c->in[X]); j++)
                q += mega_grad_out(g, 0, r, j) * mega_get(c->in[X], r, j);
        for (int64_t r = s.from; r < s.to; r++)
            for (int64_t j = 0; j < mega_width(c->in[X]); j++) {
                double d = mega_grad_out(g, 0, r, j), x = mega_get(c->in[X], r, j),
                       y = mega_get(c->in[Y], r, j), along = counts(c, r) ? q / norm : 0;
                mega_grad_add(g, Y, r, j, d - along * x);
                mega_grad_add(
                    g, X, r, j, -part * d - along * (y - (square > 1e-24 ? 2 * part * x : 0)));
            }
    }
}

const struct mega_op mega_op_orthogonal = {
    .name = "orthogonal",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_orthogonal),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
