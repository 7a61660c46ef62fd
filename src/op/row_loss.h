/* The loss of one row of V logits s with target y: with p = softmax(s), smoothing e and z,
 *
 *   (1 - e) (-log p_y) + e / V sum_j (-log p_j) + z (log sum_j exp s_j)^2,
 *
 * the rule of fairseq's label_smoothed_cross_entropy (Szegedy et al., 2016): the sum runs over
 * all V classes, that of padding and the target itself among them. The last term keeps the
 * divisor of the softmax near 1 (PaLM: Chowdhery et al., 2022). A row's weight, where a call
 * has them (input i), is a factor of its loss. */
#ifndef MEGA_OP_ROW_LOSS_H
#define MEGA_OP_ROW_LOSS_H

#include <math.h>

#include "op/contracts.h"

struct mega_row_loss {
    double log_sum; /* of the exponentials */
    double nll;     /* -log p_y */
    double loss;
};

static inline struct mega_row_loss mega_row_loss(
    const struct mega_attr_cross_entropy *a, const double *s, int64_t V, int64_t y)
{
    double most = -INFINITY, sum = 0, all = 0;
    for (int64_t j = 0; j < V; j++) most = fmax(most, s[j]);
    for (int64_t j = 0; j < V; j++) {
        sum += exp(s[j] - most);
        all += s[j];
    }
    double log_sum = most + log(sum), nll = log_sum - s[y], mean = log_sum - all / (double)V;
    return (struct mega_row_loss){ log_sum, nll,
        (1 - a->smoothing) * nll + a->smoothing * mean + a->z * log_sum * log_sum };
}

/* d loss / d s_j */
static inline double mega_row_loss_slope(const struct mega_attr_cross_entropy *a,
    const struct mega_row_loss *l, const double *s, int64_t V, int64_t y, int64_t j)
{
    double p = exp(s[j] - l->log_sum);
    return (1 + 2 * a->z * l->log_sum) * p - a->smoothing / (double)V -
           (j == y ? 1 - a->smoothing : 0);
}

static inline mega_status mega_row_weight_check(const struct mega_call *c, int i, int64_t rows)
{
    const mega_tensor *w = c->in[i];
    bool real = w && (w->dtype == MEGA_F32 || w->dtype == mega_wide_type(c));
    if (!w || (real && mega_count(w) == rows)) return MEGA_OK;
    return mega_op_refuse(c, "weight", w, "one F32 for each of %lld rows", (long long)rows);
}

static inline double mega_row_weight(const struct mega_call *c, int i, int64_t r)
{
    const mega_tensor *w = c->in[i];
    return w ? mega_get(w, r / mega_width(w), r % mega_width(w)) : 1;
}

static inline void mega_row_weight_add(
    const struct mega_call *c, struct mega_grads *g, int i, int64_t r, double value)
{
    const mega_tensor *w = c->in[i];
    if (w) mega_grad_add(g, i, r / mega_width(w), r % mega_width(w), value);
}

#endif
