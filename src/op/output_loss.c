/* output_loss: the sum of the rows' losses (row_loss.h) of logits s_j = x w_j + b_j, x [.., D],
 * w [V, D] and the rows of `more` [M, D] behind them; rows with a negative target count
 * nothing, in no term; each counts by its weight, if there are any. The output layer of a
 * language model without logits for all places. */
#include "op/row_loss.h"

enum {
    X = MEGA_OUTPUT_LOSS_X,
    W = MEGA_OUTPUT_LOSS_W,
    BIAS = MEGA_OUTPUT_LOSS_BIAS,
    TARGET = MEGA_OUTPUT_LOSS_TARGET,
    MORE = MEGA_OUTPUT_LOSS_MORE,
    WEIGHT = MEGA_OUTPUT_LOSS_WEIGHT
};

static int64_t classes(const struct mega_call *c)
{
    return c->in[W]->dim[0] + mega_dim(c->in[MORE], 0);
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_output_loss *a = c->attr;
    const mega_tensor *x = c->in[X], *w = c->in[W], *bias = c->in[BIAS], *more = c->in[MORE],
                      *target = c->in[TARGET];
    if (w->rank != 2 || mega_width(w) != mega_width(x))
        return mega_op_refuse(c, "w", w, "[V, %lld]", (long long)mega_width(x));
    if (more && (more->rank != 2 || mega_width(more) != mega_width(x)))
        return mega_op_refuse(c, "more", more, "[M, %lld]", (long long)mega_width(x));
    if (bias && (bias->rank != 1 || bias->dim[0] != classes(c)))
        return mega_op_refuse(c, "bias", bias, "[%lld]", (long long)classes(c));
    if (target->dtype != MEGA_I32 || mega_count(target) != mega_height(x))
        return mega_op_refuse(c, "target", target, "one class I32 for each of %lld rows",
            (long long)mega_height(x));
    MEGA_TRY(mega_row_weight_check(c, WEIGHT, mega_height(x)));
    out[0] = mega_shaped(mega_wide_type(c), 0, 0, 0, 0, 0);
    if (a->rows) out[1] = mega_like(target, mega_wide_type(c));
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 2 * (double)mega_count(c->in[X]) * (double)classes(c);
}

static int64_t target_of(const struct mega_call *c, int64_t r)
{
    return ((const int32_t *)c->in[TARGET]->data)[r];
}

/* the input that holds class j's row, and which one there */
static int weight_of(const struct mega_call *c, int64_t j, int64_t *row)
{
    int64_t V = c->in[W]->dim[0];
    *row = j < V ? j : j - V;
    return j < V ? W : MORE;
}

/* the logits of row r into s */
static struct mega_row_loss row_loss(const struct mega_call *c, int64_t r, double *s)
{
    const struct mega_attr_output_loss *a = c->attr;
    int64_t V = classes(c), at;
    for (int64_t j = 0; j < V; j++) {
        const mega_tensor *w = c->in[weight_of(c, j, &at)];
        s[j] = c->in[BIAS] ? mega_get(c->in[BIAS], 0, j) : 0;
        for (int64_t d = 0, D = mega_width(w); d < D; d++)
            s[j] += mega_get(c->in[X], r, d) * mega_get(w, at, d);
    }
    return mega_row_loss(&a->loss, s, V, target_of(c, r));
}

static double *row_room(const struct mega_call *c)
{
    return mega_scratch(c->work, (size_t)classes(c) * sizeof(double));
}

static void forward(const struct mega_call *c)
{
    double sum = 0, *s = row_room(c);
    for (int64_t r = 0, rows = mega_height(c->in[X]), T = mega_width(c->in[TARGET]); r < rows;
         r++) {
        struct mega_row_loss l = { 0 };
        if (target_of(c, r) >= 0) l = row_loss(c, r, s);
        sum += mega_row_weight(c, WEIGHT, r) * l.loss;
        if (c->out[1]) mega_put(c->out[1], r / T, r % T, l.nll);
    }
    mega_put(c->out[0], 0, 0, sum);
}

/* ds: d loss / d s_j */
static void add_class(
    const struct mega_call *c, struct mega_grads *g, int64_t r, int64_t j, double ds)
{
    int64_t at;
    int i = weight_of(c, j, &at);
    mega_grad_add(g, BIAS, 0, j, ds);
    for (int64_t d = 0, D = mega_width(c->in[X]); d < D; d++) {
        mega_grad_add(g, X, r, d, ds * mega_get(c->in[i], at, d));
        mega_grad_add(g, i, at, d, ds * mega_get(c->in[X], r, d));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_output_loss *a = c->attr;
    double each = mega_grad_out(g, 0, 0, 0), *s = row_room(c);
    int64_t V = classes(c);
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++) {
        int64_t y = target_of(c, r);
        if (y < 0) continue;
        struct mega_row_loss l = row_loss(c, r, s);
        double d = each * mega_row_weight(c, WEIGHT, r);
        for (int64_t j = 0; j < V; j++)
            add_class(c, g, r, j, d * mega_row_loss_slope(&a->loss, &l, s, V, y, j));
        mega_row_weight_add(c, g, WEIGHT, r, each * l.loss);
    }
}

const struct mega_op mega_op_output_loss = {
    .name = "output_loss",
    .n_in = 6,
    .n_out = 2,
    .optional = 1u << BIAS | 1u << MORE | 1u << WEIGHT,
    .attr_size = sizeof(struct mega_attr_output_loss),
    .shape = shape,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
