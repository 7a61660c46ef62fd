/* The decoder of Mega's language model (Mega section 8.4): embedding, causal blocks, final
 * norm.
 *
 *   decoder.embed_tokens.weight           [V, D_in]; times sqrt(D)
 *   decoder.project_in_dim.weight         [D, D_in], where D_in is not D
 *   decoder.embed_norm, .final_norm       norms, where there are any
 *   decoder.layers.<i>.mega_layer, .nffn  a Mega block and its feed-forward
 *   decoder.output_projection.weight      [V, D], or the table itself */
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
    struct mega_norm embed_norm, final_norm;
    struct mega_dropout drop_embed;
    struct mega_mega_layer *layer;
    struct mega_stack stack;
};

#endif
