/* Moving-average gated attention: the Mega block (section 5). It owns its residual and its
 * norm. */
#ifndef MEGA_LAYER_GATED_ATTENTION_H
#define MEGA_LAYER_GATED_ATTENTION_H

#include "layer/dropout.h"
#include "layer/ema.h"
#include "layer/norm.h"
#include "layer/relative_bias.h"

struct mega_gated_attention_options {
    int64_t width, values, keys, states; /* D, E, Z, N */
    int64_t chunk;                       /* -1: none */
    int64_t truncation;
    int64_t longest; /* P: what a simple bias covers without chunks */
    int act, attention, bias,
        norm; /* enum mega_act, mega_attention_fn, mega_bias_type, mega_norm_type */
    bool prenorm, affine, causal, feature_dropout;
    double dropout, attention_dropout, hidden_dropout;
};

struct mega_gated_attention {
    struct mega_gated_attention_options options;
    struct mega_norm norm;
    struct mega_ema ema;
    mega_tensor *v_weight, *v_bias, *mx_weight, *mx_bias, *h_weight,
        *h_bias;               /* [E,D] [Z+E+2D,D] [D,E] */
    mega_tensor *gamma, *beta; /* [2,Z] */
    struct mega_relative_bias bias;
    struct mega_cell *past_keys,
        *past_values; /* logs of a stream; NULL where it is not causal */
    struct mega_dropout drop_ema, drop_value, drop_hidden;
};

/* Declares the official names below the present prefix; refuses options that cannot be (through
 * b->status). */
void mega_gated_attention_build(mega_build *b, struct mega_gated_attention *m,
    const struct mega_gated_attention_options *options);

/* x [B, T, D] -> [B, T, D]. */
mega_tensor *mega_gated_attention_run(mega_run *r, const struct mega_gated_attention *m,
    mega_tensor *x, const struct mega_rows *rows);

#endif
