/* head_linear: each head by a matrix of its own, the head's rows of w. With w [H*m,n] of heads
 * W_h [m,n]: y_h = W_h x_h, n channels to m; back: with w [H*n,m], y_h = W_h^T x_h. What latent
 * attention absorbs into queries and outputs (2405.04434). */
#include "op/contracts.h"

enum { X = MEGA_HEAD_LINEAR_X, W = MEGA_HEAD_LINEAR_W };

struct sizes {
    int64_t H, n, m; /* channels of a head of x and of y */
};

static struct sizes sizes_of(const struct mega_call *c)
{
    const struct mega_attr_head_linear *a = c->attr;
    const mega_tensor *w = c->in[W];
    struct sizes s = { .H = a->heads, .n = mega_width(c->in[X]) / a->heads };
    s.m = a->back ? mega_width(w) : w->dim[0] / a->heads;
    return s;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_head_linear *a = c->attr;
    const mega_tensor *x = c->in[X], *w = c->in[W];
    if (a->heads < 1 || mega_width(x) % a->heads)
        return mega_op_refuse(c, "x", x, "[.., a multiple of %lld heads]", (long long)a->heads);
    if (w->rank != 2 || w->dim[0] % a->heads)
        return mega_op_refuse(c, "w", w, "rows of %lld heads", (long long)a->heads);
    struct sizes s = sizes_of(c);
    if ((a->back ? w->dim[0] / s.H : w->dim[1]) != s.n)
        return mega_op_refuse(c, "w", w, "heads that take %lld channels", (long long)s.n);
    out[0] = mega_activation(c, x);
    out[0].dim[x->rank - 1] = out[0].stride = s.H * s.m;
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 2.0 * (double)mega_height(c->in[X]) * (double)mega_count(c->in[W]);
}

/* the place in w of what leads from channel i of head h to its channel o */
static int64_t row(const struct mega_call *c, const struct sizes *s, int64_t h, int64_t i,
    int64_t o, int64_t *column)
{
    bool back = ((const struct mega_attr_head_linear *)c->attr)->back;
    *column = back ? o : i;
    return back ? h * s->n + i : h * s->m + o;
}

static void forward(const struct mega_call *c)
{
    struct sizes s = sizes_of(c);
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t j = 0; j < s.H * s.m; j++) {
            double y = 0;
            for (int64_t i = 0, h = j / s.m; i < s.n; i++) {
                int64_t column, at = row(c, &s, h, i, j % s.m, &column);
                y += mega_get(c->in[X], r, h * s.n + i) * mega_get(c->in[W], at, column);
            }
            mega_put(c->out[0], r, j, y);
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct sizes s = sizes_of(c);
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t j = 0; j < s.H * s.m; j++) {
            double d = mega_grad_out(g, 0, r, j);
            for (int64_t i = 0, h = j / s.m; i < s.n; i++) {
                int64_t column, at = row(c, &s, h, i, j % s.m, &column);
                mega_grad_add(g, X, r, h * s.n + i, d * mega_get(c->in[W], at, column));
                mega_grad_add(g, W, at, column, d * mega_get(c->in[X], r, h * s.n + i));
            }
        }
}

const struct mega_op mega_op_head_linear = {
    .name = "head_linear",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_head_linear),
    .shape = shape,
    .cost = cost,
    .by_rows = 1u << X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
