/* Backward, a row of a tile: scores become weights once more, and gradients of the weights
 * those of the scores. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_SLOPE_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_SLOPE_H

#include "kernel/cpu/isa/attention_sums.h"

/* What the rows of a block of queries need besides their tile. */
struct attention_slopes {
    float *factor;     /* room for a row of dropout's factors */
    const float *mean; /* of each query: the sum of w dw; NULL: all its keys are in one tile */
    float *less;       /* of each query: what arrived for its sum's logarithm; NULL: nothing */
    const float *soft_sum, *soft_mean; /* attention_sums.log_sum and mean */
    const float *lost;                 /* attention_sums.lost */
};

/* ---- softmax ---- */

/* s: n scores become weights, divided by their sum; returns the sum of s d */
static inline float slope_weights(
    float *s, const float *d, const float *bias, float log_sum, int64_t n)
{
    vec sum = vec_all(0);
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(s + j, n - j), dw = vec_get(d + j, n - j);
        if (bias) x += vec_get(bias + j, n - j);
        vec w = vec_exp_down(x - log_sum);
        sum += w * dw;
        vec_put(s + j, w, n - j);
    }
    return vec_sum(sum);
}

/* d, gradients of the weights w, become those of the scores; dbias += d, if it is there */
static inline void softmax_slope(float *d, const float *w, float mean, float *dbias, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec ds = vec_get(w + j, n - j) * (vec_get(d + j, n - j) - mean);
        vec_put(d + j, ds, n - j);
        if (dbias) vec_put(dbias + j, vec_get(dbias + j, n - j) + ds, n - j);
    }
}

/* the same for weights exp(|s|) with the sign of s; in place of s they stand signed */
static inline float signed_weights(float *s, const float *d, float log_sum, int64_t n)
{
    vec sum = vec_all(0);
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(s + j, n - j);
        vec w = vec_where((x > ATTENTION_UNSEEN / 2) & (x != 0.0f),
            vec_turn(vec_exp_down(vec_abs(x) - log_sum), x));
        sum += w * vec_get(d + j, n - j);
        vec_put(s + j, w, n - j);
    }
    return vec_sum(sum);
}

static inline void signed_slope(float *d, const float *w, float mean, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(w + j, n - j);
        vec_put(d + j, vec_abs(x) * vec_get(d + j, n - j) - x * mean, n - j);
    }
}

/* ---- through a function that is none ---- */

/* d become the gradients of the softmax of cool s; s stays */
static inline void soft_slope(
    float *d, const float *s, float cool, float log_sum, float mean, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec w = vec_exp_down(cool * vec_get(s + j, n - j) - log_sum);
        vec_put(d + j, cool * w * (vec_get(d + j, n - j) - mean), n - j);
    }
}

/* s becomes the weights that were used: of the scores that are not below the least one */
static inline void cut_weights(float *s, float least_one, float log_sum, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(s + j, n - j);
        vec_put(s + j, vec_where(x >= least_one, vec_exp_down(x - log_sum)), n - j);
    }
}

static inline void through_row(const struct attention_plan *p, const struct attention_slopes *w,
    int64_t at, int64_t first, float *s, float *d, int64_t n)
{
    float number = ((const float *)p->c->saved[KEPT_ROW]->data)[at];
    soft_slope(d, s, soft_factor(p->a), w->soft_sum[at], w->soft_mean[at], n);
    if (is_single(p->a)) {
        int64_t x = (int64_t)number - first;
        clear(s, s + n);
        if (number >= 0 && x >= 0 && x < n) s[x] = 1;
    } else {
        cut_weights(s, number, ((const float *)p->c->saved[KEPT_SUM]->data)[at], n);
    }
}

/* ---- other functions ---- */

static inline void sigmoid_slope(float *s, float *d, float bias, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec x = vec_get(s + j, n - j);
        ivec seen = x > ATTENTION_UNSEEN / 2;
        struct vec_jet f = vec_sigmoid_jet(x + bias);
        vec_put(s + j, vec_where(seen, f.value), n - j);
        vec_put(d + j, vec_where(seen, f.slope) * vec_get(d + j, n - j), n - j);
    }
}

/* inverted: what a weight's key loses to the other queries */
static inline void lose(float *d, const float *w, const float *lost, float sum, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(d + j,
            vec_get(d + j, n - j) - sum * vec_get(w + j, n - j) * vec_get(lost + j, n - j),
            n - j);
}

/* ---- a row ---- */

/* a softmax whose scores have had all that is added but `bias`; dbias: NULL, or its gradient */
static inline void softmax_row(const struct attention_plan *p, const struct attention_slopes *w,
    const struct attention_queries *q, int64_t r, const float *bias, float *dbias, float *s,
    float *d, int64_t n)
{
    float log_sum = ((const float *)p->c->saved[KEPT_SUM]->data)[kept_at(p, q, r)];
    if (p->a->fn == MEGA_ATTENTION_COG) {
        float mean = signed_weights(s, d, log_sum, n);
        signed_slope(d, s, w->mean ? w->mean[r] : mean, n);
        return;
    }
    float own = slope_weights(s, d, bias, log_sum, n), mean = w->mean ? w->mean[r] : own;
    softmax_slope(d, s, w->less ? mean - w->less[r] : mean, dbias, n);
}

/* The scores s of a part of query r's row become weights, the gradients d of the weights those
 * of the scores as the products gave them, which are added to dbias if it is there. */
static inline void slope_row(const struct attention_plan *p, const struct attention_slopes *w,
    const struct attention_queries *q, const struct attention_keys *k,
    const struct attention_terms *t, int64_t r, struct attention_part part, float *dbias,
    float *s, float *d)
{
    const struct mega_cpu_rows *f = row_functions;
    int64_t n = part.n, at = kept_at(p, q, r);
    if (p->a->fn == MEGA_ATTENTION_SOFTMAX && !(t->on & ~(unsigned)TERM_BIAS)) {
        add_bank(&t->bank, q, r, part, s);
        softmax_row(p, w, q, r, t->on ? bias_at(p, q, k, r, part) : NULL, dbias, s, d, n);
        return;
    }
    bool cuts = p->a->fn == MEGA_ATTENTION_TOPK && !p->a->through;
    raise(
        p, q, k, t, r, part, s, cuts ? (const float *)p->c->saved[KEPT_ROW]->data + at : NULL);
    switch (p->a->fn) {
    case MEGA_ATTENTION_LAPLACE:
        f->laplace_slope(d, d, s, n);
        f->laplace(s, s, n);
        break;
    case MEGA_ATTENTION_RELU2:
        f->relu2_slope(d, d, s, n);
        f->relu2(s, s, n);
        break;
    case MEGA_ATTENTION_SIGMOID: sigmoid_slope(s, d, (float)p->a->sigmoid_bias, n); break;
    default:
        if (passes_through(p->a))
            through_row(p, w, at, k->at + part.from, s, d, n);
        else
            softmax_row(p, w, q, r, NULL, NULL, s, d, n);
    }
    if (p->a->fn == MEGA_ATTENTION_INVERTED)
        lose(d, s, w->lost + column_of(p, q->span, q->head, k) + part.from,
            expf(((const float *)p->c->saved[KEPT_SUM]->data)[at]), n);
    if (t->on & TERM_NOISE && p->a->temperature > 0)
        f->scale(d, d, (float)(1 / p->a->temperature), n);
    if (t->on & TERM_CLAMP) f->multiply(d, d, t->bend, n);
    if (dbias) f->add_scaled(dbias, d, 1, n);
}

#endif
