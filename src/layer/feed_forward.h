/* The normalised feed-forward block (Mega section 6). It owns its residual and its norm. */
#ifndef MEGA_LAYER_FEED_FORWARD_H
#define MEGA_LAYER_FEED_FORWARD_H

#include "layer/mlp.h"
#include "layer/norm.h"

struct mega_feed_forward_options {
    int64_t width, hidden; /* D, F */
    int act, norm;         /* enum mega_act, mega_norm_type */
    bool prenorm, affine, feature_dropout;
    double dropout, hidden_dropout;
    struct mega_head_gates_options gates; /* of channels, as an mlp has them */
    int64_t block, layer;
    const char *kept;
};

struct mega_feed_forward {
    struct mega_feed_forward_options options;
    struct mega_norm norm;
    struct mega_mlp mlp; /* fc1, fc2 */
    struct mega_dropout drop;
};

void mega_feed_forward_build(mega_build *b, struct mega_feed_forward *f,
    const struct mega_feed_forward_options *options);

/* x [B, T, D] -> [B, T, D]. */
mega_tensor *mega_feed_forward_run(mega_run *r, const struct mega_feed_forward *f,
    mega_tensor *x, const struct mega_rows *rows);

#endif
