/* sinkhorn: an S x S matrix a row becomes nearly doubly stochastic: a softmax of each column,
 * then rounds of dividing rows and columns by their sums (2512.24880). */
#include <math.h>
#include <string.h>

#include "op/contracts.h"

enum { MOST = MEGA_SINKHORN_MOST };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_sinkhorn *a = c->attr;
    if (a->size < 1 || a->size > MOST || a->rounds < 0 || a->rounds > MOST)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "sinkhorn: matrices of size %lld in %lld rounds, expected at most %d of each",
            (long long)a->size, (long long)a->rounds, MOST);
    if (mega_width(c->in[0]) != a->size * a->size)
        return mega_op_refuse(c, "x", c->in[0], "rows of %lld", (long long)(a->size * a->size));
    out[0] = mega_activation(c, c->in[0]);
    return MEGA_OK;
}

/* all steps of one row: step 0 after the softmax, then two a round */
struct walk {
    int64_t n;
    double at[2 * MOST + 1][MOST * MOST];
};

/* the i-th number of line l: of a column, or of a row */
static int64_t place(const struct walk *w, bool columns, int64_t l, int64_t i)
{
    return columns ? i * w->n + l : l * w->n + i;
}

static double line_sum(const struct walk *w, const double *m, bool columns, int64_t l)
{
    double sum = 0;
    for (int64_t i = 0; i < w->n; i++) sum += m[place(w, columns, l, i)];
    return sum;
}

static void divide(const struct walk *w, const double *from, double *to, bool columns)
{
    for (int64_t l = 0; l < w->n; l++) {
        double sum = line_sum(w, from, columns, l);
        for (int64_t i = 0; i < w->n; i++)
            to[place(w, columns, l, i)] = from[place(w, columns, l, i)] / sum;
    }
}

static void walk_there(const struct mega_call *c, int64_t r, struct walk *w)
{
    const struct mega_attr_sinkhorn *a = c->attr;
    double raw[MOST * MOST];
    w->n = a->size;
    for (int64_t l = 0; l < w->n; l++) {
        double most = -INFINITY;
        for (int64_t i = 0; i < w->n; i++)
            most = fmax(most, mega_get(c->in[0], r, place(w, true, l, i)));
        for (int64_t i = 0; i < w->n; i++)
            raw[place(w, true, l, i)] = exp(mega_get(c->in[0], r, place(w, true, l, i)) - most);
    }
    divide(w, raw, w->at[0], true);
    for (int64_t k = 0; k < 2 * a->rounds; k++) divide(w, w->at[k], w->at[k + 1], k % 2 == 1);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_sinkhorn *a = c->attr;
    struct walk *w = mega_scratch(c->work, sizeof *w);
    for (int64_t r = 0; w && r < mega_height(c->in[0]); r++) {
        walk_there(c, r, w);
        for (int64_t j = 0; j < a->size * a->size; j++)
            mega_put(c->out[0], r, j, w->at[2 * a->rounds][j]);
    }
}

/* y = x / sum: dx = (dy - y.dy) / sum along a line */
static void divide_back(
    const struct walk *w, const double *from, const double *to, double *d, bool columns)
{
    for (int64_t l = 0; l < w->n; l++) {
        double sum = line_sum(w, from, columns, l), along = 0;
        for (int64_t i = 0; i < w->n; i++)
            along += d[place(w, columns, l, i)] * to[place(w, columns, l, i)];
        for (int64_t i = 0; i < w->n; i++)
            d[place(w, columns, l, i)] = (d[place(w, columns, l, i)] - along) / sum;
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_sinkhorn *a = c->attr;
    struct walk *w = mega_scratch(c->work, sizeof *w);
    double d[MOST * MOST];
    mega_grads_begin(g);
    for (int64_t r = 0; w && r < mega_height(c->in[0]); r++) {
        walk_there(c, r, w);
        for (int64_t j = 0; j < a->size * a->size; j++) d[j] = mega_grad_out(g, 0, r, j);
        for (int64_t k = 2 * a->rounds - 1; k >= 0; k--)
            divide_back(w, w->at[k], w->at[k + 1], d, k % 2 == 1);
        /* the softmax: dx = y (dy - y.dy) */
        for (int64_t l = 0; l < w->n; l++) {
            double along = 0;
            for (int64_t i = 0; i < w->n; i++)
                along += d[place(w, true, l, i)] * w->at[0][place(w, true, l, i)];
            for (int64_t i = 0; i < w->n; i++) {
                int64_t j = place(w, true, l, i);
                mega_grad_add(g, 0, r, j, w->at[0][j] * (d[j] - along));
            }
        }
    }
}

const struct mega_op mega_op_sinkhorn = {
    .name = "sinkhorn",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_sinkhorn),
    .shape = shape,
    .by_rows = 1u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
