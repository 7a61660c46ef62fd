/* The decoder of Mega's language model (Mega section 8.4): embedding, causal blocks, final
 * norm.
 *
 *   decoder.embed_tokens.weight           [V, D_in]; times sqrt(D)
 *   decoder.embed_tokens.embeddings.<i>   bands, instead (layer/adaptive_input.h)
 *   decoder.project_in_dim.weight         [D, D_in], where D_in is not D
 *   decoder.embed_norm, .final_norm       norms, where there are any
 *   decoder.layers.<i>.mega_layer, .nffn  a Mega block and its feed-forward
 *   decoder.output_projection.weight      [V, D], or the table itself
 *   decoder.adaptive_softmax              bands, instead (layer/adaptive_softmax.h) */
#ifndef MEGA_MODEL_DECODER_MEGA_H
#define MEGA_MODEL_DECODER_MEGA_H

#include "layer/feed_forward.h"
#include "layer/gated_attention.h"
#include "model/decoder.h"

struct mega_mega_options {
    int64_t layers, width, values, keys, states, ffn; /* L, D, E, Z, N, F (0: none) */
    int64_t chunk, truncation, longest;
    int64_t input_width; /* D_in; 0: D */
    int act, attention, bias, norm;
    int recompute; /* enum mega_recompute */
    bool prenorm, embed_norm, affine_final_norm, scale_embedding, tied, feature_dropout;
    double dropout, attention_dropout, hidden_dropout, activation_dropout;
    /* bands of words (section 8.5); no cutoffs: one table, one matrix */
    struct mega_texts input_cutoffs, output_cutoffs; /* where bands end, as numbers */
    double input_factor, output_factor, output_dropout;
    bool tied_projections,
        as_original; /* as_original: with its defects (section 19, 7 and 8) */
    struct mega_head_gates_options gates; /* of each block's attention as a whole */
    const char *kept_heads;    /* blocks whose attention was not removed; NULL: all */
    const char *kept_channels; /* blocks of feed-forward channels, likewise */
    int64_t channel_block;
};

struct mega_mega_layer {
    char path[32];
    struct mega_gated_attention attention;
    bool has_feed_forward;
    struct mega_feed_forward feed_forward;
};

struct mega_mega_decoder {
    struct mega_mega_options options;
    struct mega_vocabulary vocabulary;
    mega_tensor *table, *project_in, *head;
    bool has_input_bands, has_output_bands;
    struct mega_adaptive_input input_bands;    /* instead of a table */
    struct mega_adaptive_softmax output_bands; /* instead of a matrix */
    struct mega_norm embed_norm, final_norm;
    struct mega_dropout drop_embed;
    struct mega_mega_layer *layer;
    struct mega_stack stack;
};

#endif
