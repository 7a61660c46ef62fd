/* Slot A2 of attention: heads of queries, keys and values before they meet, in this order:
 * values mixed with those of the first layer, queries and keys normalised, values normalised,
 * queries and keys turned. And the learned keys and values that stand before all others. */
#ifndef MEGA_LAYER_ATTENTION_PREPARE_H
#define MEGA_LAYER_ATTENTION_PREPARE_H

#include "layer/attention_options.h"

struct mega_attention_prepare {
    mega_tensor *q_norm, *k_norm;  /* [H, d], [G, d], or NULL */
    mega_tensor *v_norm;           /* [G, dv] */
    mega_tensor *qk_scale;         /* [1] or [H] */
    mega_tensor *vmix, *vmix_bias; /* [G, D], [G] */
    mega_tensor *mem_k, *mem_v;    /* [G, N, d], [G, N, dv] */
};

/* Heads on their way. */
struct mega_attention_heads {
    mega_tensor *q, *k, *v;           /* [B, T, H d], [B, S, G d], [B, S, G dv] */
    mega_tensor *prefix_k, *prefix_v; /* [G, N, d], [G, N, dv]; NULL: none */
};

void mega_attention_prepare_build(mega_build *b, struct mega_attention_prepare *p,
    const struct mega_attention_options *options);

/* v, mixed with the first layer's values where it has them: by halves, or by what z, which v
 * was made from, says. */
mega_tensor *mega_attention_mix_values(mega_run *r, const struct mega_attention_prepare *p,
    const struct mega_attention_options *options, mega_tensor *v, mega_tensor *first,
    mega_tensor *z);

/* The base of the frequencies of so many channels that turn. */
double mega_rotary_base(const struct mega_rotary_options *rotary, int64_t dims);

/* All that follows; k and v may be absent (kept by a stream, so prepared before). `keys`: the
 * rows of k and v; `phase` of rotary pope, or NULL. */
void mega_attention_prepare_run(mega_run *r, const struct mega_attention_prepare *p,
    const struct mega_attention_options *options, struct mega_attention_heads *h,
    mega_tensor *phase, const struct mega_rows *rows, const struct mega_rows *keys);

/* Factor of the scores: what the norms of queries and keys leave of it; 0: the op's own. */
double mega_attention_scale(const struct mega_attention_options *options);

#endif
