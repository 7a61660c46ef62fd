/* The complex exponential moving average as a layer (Megalodon, section 3.3). */
#ifndef MEGA_LAYER_CEMA_H
#define MEGA_LAYER_CEMA_H

#include "graph/run.h"

struct mega_cema {
    mega_tensor *alpha, *delta, *theta, *gamma,
        *omega;              /* [D,N,1] twice, [D,1,1], [D,N,2], [D,1] */
    struct mega_cell *state; /* [D, N, 2] */
};

/* Declares alpha, delta, theta, gamma, omega below the present prefix. */
void mega_cema_build(mega_build *b, struct mega_cema *e, int64_t width, int64_t states);

/* x [B, T, D] -> CEMA(x) + omega x, zero at places that are not real. With a stream it goes on
 * from the row's state. */
mega_tensor *mega_cema_run(
    mega_run *r, const struct mega_cema *e, mega_tensor *x, const struct mega_rows *rows);

#endif
