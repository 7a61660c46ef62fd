/* Timestep normalisation as a layer (Megalodon, section 3.2): by the mean and variance of all
 * that came before, in groups of channels. */
#ifndef MEGA_LAYER_TIMESTEP_NORM_H
#define MEGA_LAYER_TIMESTEP_NORM_H

#include "graph/run.h"
#include "op/contracts.h"

struct mega_timestep_norm_options {
    int64_t width, groups; /* D, G */
    int64_t prior_count;   /* above 0: mean and variance of a prior that counts for so many
                              places, trained */
    double eps;
    bool port; /* statistics of the pure-PyTorch port, which keeps no buffers */
};

struct mega_timestep_norm {
    struct mega_timestep_norm_options options;
    mega_tensor *weight, *bias;           /* [D]; the gain is weight + 1 */
    mega_tensor *prior_mean, *prior_logv; /* [G], where there is a prior */
    struct mega_cell *prior, *no_mean,
        *no_logv;                         /* buffers of the official file: the prior's
                                             count; its values where they are not trained */
    struct mega_cell *count, *mean, *var; /* of a stream: [1] I32, [G], [G] */
};

/* Declares weight, bias, prior_count, prior_mean, prior_logv below the present prefix. */
void mega_timestep_norm_build(mega_build *b, struct mega_timestep_norm *n,
    const struct mega_timestep_norm_options *options);

/* x [B, T, D] -> [B, T, D], zero at places that are not real (the port: normalised as well).
 * With a stream it goes on from the row's statistics. */
mega_tensor *mega_timestep_norm_run(mega_run *r, const struct mega_timestep_norm *n,
    mega_tensor *x, const struct mega_rows *rows);

#endif
