/* The arithmetic of head_norm and slot_norm: d channels, in groups, one group at a time. */
#ifndef MEGA_OP_HEAD_NORM_H
#define MEGA_OP_HEAD_NORM_H

#include <math.h>

#include "op/contracts.h"

/* Channels of row `row` from column `from` on, which have the gains from place `gain` on. */
struct mega_head_group {
    int64_t row, from, n, gain;
};

static inline double mega_head_gain(
    const struct mega_call *c, const struct mega_head_group *g, int64_t j)
{
    const struct mega_attr_head_norm *a = c->attr;
    const mega_tensor *w = c->in[MEGA_HEAD_NORM_WEIGHT];
    if (!w) return 1;
    int64_t at = g->gain + j, width = mega_width(w);
    return mega_get(w, at / width, at % width) + (a->unit_offset ? 1 : 0);
}

/* What the group is multiplied by; *fixed: it does not depend on x (shorter than the least). */
static inline double mega_head_factor(
    const struct mega_call *c, const struct mega_head_group *g, bool *fixed)
{
    const struct mega_attr_head_norm *a = c->attr;
    double squares = 0;
    for (int64_t j = 0; j < g->n; j++) {
        double x = mega_get(c->in[MEGA_HEAD_NORM_X], g->row, g->from + j);
        squares += x * x;
    }
    *fixed = false;
    if (a->kind == MEGA_HEAD_NORM_RMS) return 1 / sqrt(squares / (double)g->n + a->eps);
    *fixed = sqrt(squares) < a->eps;
    return 1 / fmax(sqrt(squares), a->eps);
}

static inline void mega_head_forward(const struct mega_call *c, const struct mega_head_group *g)
{
    bool fixed;
    double f = mega_head_factor(c, g, &fixed);
    for (int64_t j = 0; j < g->n; j++)
        mega_put(c->out[0], g->row, g->from + j,
            mega_get(c->in[MEGA_HEAD_NORM_X], g->row, g->from + j) * f *
                mega_head_gain(c, g, j));
}

/* with n = x f and e = dy w:  dx = f (e - n sum(e n) [/ d: rms]) */
static inline void mega_head_backward(
    const struct mega_call *c, const struct mega_head_group *g, struct mega_grads *grads)
{
    const struct mega_attr_head_norm *a = c->attr;
    bool fixed;
    double f = mega_head_factor(c, g, &fixed), along = 0;
    for (int64_t j = 0; j < g->n; j++)
        along += mega_grad_out(grads, 0, g->row, g->from + j) * mega_head_gain(c, g, j) *
                 mega_get(c->in[MEGA_HEAD_NORM_X], g->row, g->from + j) * f;
    if (a->kind == MEGA_HEAD_NORM_RMS) along /= (double)g->n;
    if (fixed) along = 0;
    for (int64_t j = 0; j < g->n; j++) {
        double n = mega_get(c->in[MEGA_HEAD_NORM_X], g->row, g->from + j) * f,
               d = mega_grad_out(grads, 0, g->row, g->from + j);
        const mega_tensor *w = c->in[MEGA_HEAD_NORM_WEIGHT];
        if (w)
            mega_grad_add(grads, MEGA_HEAD_NORM_WEIGHT, (g->gain + j) / mega_width(w),
                (g->gain + j) % mega_width(w), d * n);
        mega_grad_add(grads, MEGA_HEAD_NORM_X, g->row, g->from + j,
            f * (d * mega_head_gain(c, g, j) - n * along));
    }
}

#endif
