/* Layer-wise relevance propagation: how much of an output's relevance each input gets (Bach et
 * al., 2015; of Transformers: Voita, Sennrich and Titov, 2021).
 *
 * An output y_j has the parts z_ji of its inputs, z_ji = r0_j / n + J_ji x_i with J the
 * Jacobian and r0 what is put out for zeros:
 *
 *   R_i = sum_j R_j ( 1/2 z+_ji / (sum_i z+_ji + e) + 1/2 z-_ji / (sum_i z-_ji - e) )
 *
 * then all R_i are multiplied by one factor, so that as much comes in as went out. `zplus`: the
 * older rule, of positive weights alone, norms being the identity. */
#ifndef MEGA_STUDY_RELEVANCE_RULES_H
#define MEGA_STUDY_RELEVANCE_RULES_H

#include <stdbool.h>
#include <stdint.h>

struct mega_relevance_rule {
    bool zplus;
    double eps; /* e */
};
#define MEGA_RELEVANCE_AB ((struct mega_relevance_rule){ false, 1e-5 })
#define MEGA_RELEVANCE_ZPLUS ((struct mega_relevance_rule){ true, 1e-7 })

static inline struct mega_relevance_rule mega_relevance_rule_of(bool zplus)
{
    return zplus ? MEGA_RELEVANCE_ZPLUS : MEGA_RELEVANCE_AB;
}

/* The two sums that an output's parts are divided by, and one part's share of 1. */
struct mega_relevance_sums {
    double up, down;
};
void mega_relevance_see(struct mega_relevance_sums *s, double z);
double mega_relevance_share(
    const struct mega_relevance_rule *rule, const struct mega_relevance_sums *s, double z);

/* Multiplies n numbers so that they sum, in absolute value, to `total` (less e). */
void mega_relevance_rescale(
    const struct mega_relevance_rule *rule, double total, double *r, int64_t n);
double mega_relevance_total(const double *r, int64_t n);

/* One row of y = w x + b, w [n_out, n_in], b or NULL: the relevance of y into that of x.
 * `_parts`: adds to r_in and does not scale it, for layers of which this is a part. */
void mega_relevance_linear_parts(const struct mega_relevance_rule *rule, const double *w,
    const double *b, const double *x, const double *r_out, double *r_in, int64_t n_in,
    int64_t n_out);
void mega_relevance_linear(const struct mega_relevance_rule *rule, const double *w,
    const double *b, const double *x, const double *r_out, double *r_in, int64_t n_in,
    int64_t n_out);

/* The mean y [D] of T rows x [T, D]. */
void mega_relevance_mean(const struct mega_relevance_rule *rule, const double *x,
    const double *r_out, double *r_in, int64_t T, int64_t D);

/* One row of y = x + u. */
void mega_relevance_sum(const struct mega_relevance_rule *rule, const double *x,
    const double *u, const double *r_out, double *r_x, double *r_u, int64_t n);

/* One row of a norm with gain g and bias b (or NULL): LayerNorm, or RMSNorm, which does not
 * take the mean off. */
void mega_relevance_norm(const struct mega_relevance_rule *rule, bool rms, double norm_eps,
    const double *g, const double *b, const double *x, const double *r_out, double *r_in,
    int64_t n);

/* The core of one head of attention: weights a [T, M], keys and values [M, .] and queries [T,
 * .] before what `turn` does to them (rotary positions; NULL: nothing), queries not scaled.
 * Relevances of inputs are added to. */
struct mega_relevance_core {
    int64_t T, M, d, dv;
    double scale; /* of the scores */
    const double *a, *q, *k, *v, *o;
    int64_t a_stride, q_stride, k_stride, v_stride, o_stride; /* numbers from row to row */
    /* turns d numbers of a row by its position, `back`: the other way */
    void (*turn)(const void *arg, int64_t place, bool back, double *x);
    const void *turn_arg;
};
/* false: no memory. r_* have the strides of what they belong to. */
bool mega_relevance_core(const struct mega_relevance_rule *rule,
    const struct mega_relevance_core *c, const double *r_o, double *r_q, double *r_k,
    double *r_v);

#endif
