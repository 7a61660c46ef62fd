/* The feed-forward branch of a block, without its norm: two layers, or three with a gate
 * (Shazeer, 2020).
 *
 *   plain: y = down drop(act(up z + b_up)) + b_down
 *   gated: y = down drop((up z + b_up) act(gate z + b_gate)) + b_down */
#ifndef MEGA_LAYER_MLP_H
#define MEGA_LAYER_MLP_H

#include "layer/dropout.h"

/* What the three projections are called below the present prefix. */
struct mega_mlp_names {
    const char *up, *gate, *down;
};
extern const struct mega_mlp_names mega_mlp_official; /* fc1, fc3, fc2 */

struct mega_mlp_options {
    int64_t width, hidden; /* D, F */
    int act;               /* enum mega_act */
    bool gated;
    bool up_bias, down_bias;            /* up_bias: of the gate too */
    double dropout;                     /* of the inside */
    bool feature_dropout;               /* it drops whole channels of a row */
    const struct mega_init *init;       /* of the weights; NULL: normal, 0.02 */
    const struct mega_mlp_names *names; /* NULL: the official ones */
};

struct mega_mlp {
    struct mega_mlp_options options;
    mega_tensor *up, *up_bias, *gate, *gate_bias; /* [F,D], [F] */
    mega_tensor *down, *down_bias;                /* [D,F], [D] */
    struct mega_dropout drop;
};

void mega_mlp_build(mega_build *b, struct mega_mlp *f, const struct mega_mlp_options *options);

/* z [B, T, D] -> [B, T, D]. */
mega_tensor *mega_mlp_run(
    mega_run *r, const struct mega_mlp *f, mega_tensor *z, const struct mega_rows *rows);

/* residual + drop(mlp(z)), at once where a kernel takes it. */
mega_tensor *mega_mlp_add(mega_run *r, const struct mega_mlp *f, mega_tensor *z,
    mega_tensor *residual, const struct mega_dropout *drop, const struct mega_rows *rows);

#endif
