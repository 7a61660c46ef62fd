/* cross_entropy: the sum of the rows' losses (row_loss.h), each times its weight if there are
 * any; rows with a negative target count nothing, in no term. */
#include "op/row_loss.h"

enum {
    LOGITS = MEGA_CROSS_ENTROPY_LOGITS,
    TARGET = MEGA_CROSS_ENTROPY_TARGET,
    WEIGHT = MEGA_CROSS_ENTROPY_WEIGHT
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *s = c->in[LOGITS], *target = c->in[TARGET];
    if (mega_count(target) != mega_height(s))
        return mega_op_refuse(
            c, "target", target, "one class for each of %lld rows", (long long)mega_height(s));
    MEGA_TRY(mega_row_weight_check(c, WEIGHT, mega_height(s)));
    out[0] = mega_shaped(mega_wide_type(c), 0, 0, 0, 0, 0);
    if (((const struct mega_attr_cross_entropy *)c->attr)->rows)
        out[1] = mega_like(target, mega_wide_type(c));
    return MEGA_OK;
}

static int64_t target_of(const struct mega_call *c, int64_t r)
{
    return ((const int32_t *)c->in[TARGET]->data)[r];
}

/* row r of the logits into s */
static struct mega_row_loss row_loss(const struct mega_call *c, int64_t r, double *s)
{
    int64_t V = mega_width(c->in[LOGITS]);
    for (int64_t j = 0; j < V; j++) s[j] = mega_get(c->in[LOGITS], r, j);
    return mega_row_loss(c->attr, s, V, target_of(c, r));
}

static double *row_room(const struct mega_call *c)
{
    return mega_scratch(c->work, (size_t)mega_width(c->in[LOGITS]) * sizeof(double));
}

static void forward(const struct mega_call *c)
{
    double sum = 0, *s = row_room(c);
    int64_t T = mega_width(c->in[TARGET]);
    for (int64_t r = 0; r < mega_height(c->in[LOGITS]); r++) {
        bool counts = target_of(c, r) >= 0;
        struct mega_row_loss l = counts ? row_loss(c, r, s) : (struct mega_row_loss){ 0 };
        sum += mega_row_weight(c, WEIGHT, r) * l.loss;
        if (c->out[1]) mega_put(c->out[1], r / T, r % T, l.nll);
    }
    mega_put(c->out[0], 0, 0, sum);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    double d = mega_grad_out(g, 0, 0, 0), *s = row_room(c);
    int64_t V = mega_width(c->in[LOGITS]);
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[LOGITS]); r++) {
        int64_t y = target_of(c, r);
        if (y < 0) continue;
        struct mega_row_loss l = row_loss(c, r, s);
        double each = d * mega_row_weight(c, WEIGHT, r);
        for (int64_t j = 0; j < V; j++)
            mega_grad_add(g, LOGITS, r, j, each * mega_row_loss_slope(c->attr, &l, s, V, y, j));
        mega_row_weight_add(c, g, WEIGHT, r, d * l.loss);
    }
}

const struct mega_op mega_op_cross_entropy = {
    .name = "cross_entropy",
    .n_in = 3,
    .n_out = 2,
    .optional = 1u << WEIGHT,
    .attr_size = sizeof(struct mega_attr_cross_entropy),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
