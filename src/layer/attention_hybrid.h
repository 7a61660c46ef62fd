/* A second module beside attention (Hymba: 2411.13676): a moving average of the same input, of
 * as many channels as the heads bring. Both are normalised head by head and averaged, or mixed
 * by what the input says of each head:
 *
 *   y' = mu rms(y) + (1 - mu) rms(m),  m = average(z W_in^T),  mu = 1/2 or sigmoid(z W_mix^T)
 *
 * ema is Mega's, with its silu; cema is Megalodon's complex one, one way. */
#ifndef MEGA_LAYER_ATTENTION_HYBRID_H
#define MEGA_LAYER_ATTENTION_HYBRID_H

#include "layer/attention_options.h"
#include "layer/cema.h"
#include "layer/ema.h"

struct mega_attention_hybrid {
    mega_tensor *in;              /* [H dv, D]; NULL: there is none */
    mega_tensor *own_norm, *norm; /* [H, dv]: of attention, of the module; stored less 1 */
    mega_tensor *mix;             /* [H, D] or NULL */
    struct mega_ema ema;
    struct mega_cema cema;
};

/* Declares "hybrid.*" below the present prefix, if the options ask for one. */
void mega_attention_hybrid_build(mega_build *b, struct mega_attention_hybrid *m,
    const struct mega_attention_options *options);

/* The states of a stream alone, of one more use of the same parameters. */
void mega_attention_hybrid_states(mega_build *b, struct mega_attention_hybrid *m,
    const struct mega_attention_options *options);

/* y [B, T, H dv] of the heads, mixed with what the module makes of z. */
mega_tensor *mega_attention_hybrid_run(mega_run *r, const struct mega_attention_hybrid *m,
    const struct mega_attention_options *options, mega_tensor *y, mega_tensor *z,
    const struct mega_rows *rows);

#endif
