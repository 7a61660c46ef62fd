/* Moving-average gated attention: the Mega block (section 5). It owns its residual and its
 * norm.
 *
 * Its attention, one head, may have a gate (head_gates.h) and may have been removed
 * (kept_heads.h): the block is then its moving average alone, h = act(hx + b_h). */
#ifndef MEGA_LAYER_GATED_ATTENTION_H
#define MEGA_LAYER_GATED_ATTENTION_H

#include "layer/dropout.h"
#include "layer/ema.h"
#include "layer/head_gates.h"
#include "layer/kept_heads.h"
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
    struct mega_head_gates_options gates;
    const char *kept; /* blocks whose attention is left, a list a layer; NULL or "": all */
    int64_t layer;    /* which list is its own */
};

struct mega_gated_attention {
    struct mega_gated_attention_options options;
    struct mega_norm norm;
    struct mega_ema ema;
    mega_tensor *v_weight, *v_bias, *mx_weight, *mx_bias, *h_weight,
        *h_bias; /* [E,D] [Z+E+2D,D] [D,E]; without attention NULL, [2D,D], NULL */
    mega_tensor *gamma, *beta; /* [2,Z] */
    struct mega_relative_bias bias;
    struct mega_kept_heads kept;  /* heads: 1, or 0 where its attention was removed */
    struct mega_head_gates gates; /* of attention as a whole */
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
