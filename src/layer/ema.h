/* The multi-dimensional damped EMA as a layer (Mega section 3). */
#ifndef MEGA_LAYER_EMA_H
#define MEGA_LAYER_EMA_H

#include "graph/run.h"

struct mega_ema {
    bool two_way;
    int64_t truncation; /* 0 or less: none */
    mega_tensor *delta, *alpha, *beta, *gamma, *omega;
    struct mega_cell *state; /* [D, N]; NULL where it sees both ways */
};

/* Declares delta, alpha, beta, gamma, omega below the present prefix. */
void mega_ema_build(mega_build *b, struct mega_ema *e, int64_t width, int64_t states,
    bool two_way, int64_t truncation);

/* x [B, T, D] -> silu(EMA(x) + omega x). With a stream it goes on from the row's state, without
 * truncation. */
mega_tensor *mega_ema_run(
    mega_run *r, const struct mega_ema *e, mega_tensor *x, const struct mega_rows *rows);

#endif
