/* Hyper-connections: S streams in place of one, mixed before and after each branch by weights
 * that are learned and depend on the place (2409.19606; kept doubly stochastic: 2512.24880).
 *
 *   alpha_s = static_s + a f(W_a LN(h_s))      [1 + S] of each stream: input, carry
 *   beta_s  = static_s + b g(w_b LN(h_s))
 *   u = sum_s alpha_s[0] h_s;   h_t = sum_s alpha_s[1 + t] h_s + beta_t y */
#ifndef MEGA_LAYER_HYPER_H
#define MEGA_LAYER_HYPER_H

#include "layer/norm.h"

enum { MEGA_HYPER_MOST = 14 }; /* streams */

struct mega_hyper {
    int64_t streams, rounds;
    bool stochastic;       /* the carry is */
    struct mega_norm norm; /* LN without a bias */
    mega_tensor *alpha;    /* [S, 1 + S] */
    mega_tensor *beta;     /* [S] */
    mega_tensor *wa, *wb;  /* [D, 1 + S], [1, D] */
    mega_tensor *sa, *sb;  /* [1] */
};

/* Declares "hc.*" below the present prefix; k: the module's number, whose stream the branch
 * reads at first. */
void mega_hyper_build(mega_build *b, struct mega_hyper *h, int64_t streams, bool stochastic,
    int64_t rounds, int64_t width, int64_t k);

/* What a branch reads of the streams h [S] of [B, T, D]; the weights go into alpha [B, T,
 * S (1 + S)] and beta [B, T, S] for the way back. */
mega_tensor *mega_hyper_read(mega_run *r, const struct mega_hyper *h,
    mega_tensor *const *stream, mega_tensor **alpha, mega_tensor **beta);

/* The streams after the branch gave y. */
void mega_hyper_write(mega_run *r, const struct mega_hyper *h, mega_tensor **stream,
    mega_tensor *alpha, mega_tensor *beta, mega_tensor *y);

#endif
