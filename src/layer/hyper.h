/* Hyper-connections: S streams in place of one, mixed before and after each branch by weights
 * that are learned and depend on the place (2409.19606; kept doubly stochastic: 2512.24880).
 *
 *   alpha_s = static_s + a f(W_a LN(h_s))      [R + S] of each stream: inputs, carry
 *   beta_s  = static_s + b g(w_b LN(h_s))
 *   u_v = sum_s alpha_s[v] h_s;   h_t = sum_s alpha_s[R + t] h_s + beta_t y
 *
 * R is how many views of the streams the branch has: one, or one each for queries, keys and
 * values. */
#ifndef MEGA_LAYER_HYPER_H
#define MEGA_LAYER_HYPER_H

#include "layer/norm.h"

enum { MEGA_HYPER_MOST = 14 }; /* streams */
enum { MEGA_VIEWS = 3 };       /* of a branch: for queries, keys, values */

struct mega_hyper {
    int64_t streams, rounds, views;
    bool stochastic;       /* the carry is */
    struct mega_norm norm; /* LN without a bias */
    mega_tensor *alpha;    /* [S, R + S] */
    mega_tensor *beta;     /* [S] */
    mega_tensor *wa, *wb;  /* [D, R + S], [1, D] */
    mega_tensor *sa, *sb;  /* [1] */
};

struct mega_hyper_sizes {
    int64_t streams, views, rounds, width;
    bool stochastic;
};

/* Declares "hc.*" below the present prefix; k: the module's number, whose stream the branch
 * reads at first. */
void mega_hyper_build(
    mega_build *b, struct mega_hyper *h, const struct mega_hyper_sizes *sizes, int64_t k);

/* What a branch reads of the streams h [S] of [B, T, D], into view[R]; the weights go into
 * alpha [B, T, S (R + S)] and beta [B, T, S] for the way back. */
void mega_hyper_read(mega_run *r, const struct mega_hyper *h, mega_tensor *const *stream,
    mega_tensor *view[MEGA_VIEWS], mega_tensor **alpha, mega_tensor **beta);

/* The streams after the branch gave y. */
void mega_hyper_write(mega_run *r, const struct mega_hyper *h, mega_tensor **stream,
    mega_tensor *alpha, mega_tensor *beta, mega_tensor *y);

#endif
