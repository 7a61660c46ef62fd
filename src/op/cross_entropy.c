/* cross_entropy: sum over rows of log(sum_j exp(s_j)) - s_target; rows with a negative target
 * count nothing. */
#include <math.h>

#include "op/contracts.h"

enum { LOGITS = MEGA_CROSS_ENTROPY_LOGITS, TARGET = MEGA_CROSS_ENTROPY_TARGET };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *s = c->in[LOGITS], *target = c->in[TARGET];
    if (mega_count(target) != mega_height(s))
        return mega_op_refuse(
            c, "target", target, "one class for each of %lld rows", (long long)mega_height(s));
    out[0] = mega_shaped(mega_wide_type(c), 0, 0, 0, 0, 0);
    return MEGA_OK;
}

static double log_sum(const mega_tensor *s, int64_t r)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < mega_width(s); j++) most = fmax(most, mega_get(s, r, j));
    for (int64_t j = 0; j < mega_width(s); j++) sum += exp(mega_get(s, r, j) - most);
    return most + log(sum);
}

static int64_t target_of(const struct mega_call *c, int64_t r)
{
    return ((const int32_t *)c->in[TARGET]->data)[r];
}

static void forward(const struct mega_call *c)
{
    const mega_tensor *s = c->in[LOGITS];
    double sum = 0;
    for (int64_t r = 0; r < mega_height(s); r++) {
        int64_t y = target_of(c, r);
        if (y >= 0) sum += log_sum(s, r) - mega_get(s, r, y);
    }
    mega_put(c->out[0], 0, 0, sum);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const mega_tensor *s = c->in[LOGITS];
    double d = mega_grad_out(g, 0, 0, 0);
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(s); r++) {
        int64_t y = target_of(c, r);
        if (y < 0) continue;
        double total = log_sum(s, r);
        for (int64_t j = 0; j < mega_width(s); j++)
            mega_grad_add(g, LOGITS, r, j, d * (exp(mega_get(s, r, j) - total) - (j == y)));
    }
}

const struct mega_op mega_op_cross_entropy = {
    .name = "cross_entropy",
    .n_in = 2,
    .n_out = 1,
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
