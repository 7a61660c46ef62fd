/* The Transformer from tokens to logits, encoder or decoder: a plan of sublayers over one
 * residual stream, by the names of the Transformer's own files.
 *
 *   tok_emb, pos_emb                     embed: [B, T] ids -> x [B, T, D]
 *   sub.<2i>.norm_*, sub.<2i>.attn       read, attention, write
 *   sub.<2i+1>.norm_*, sub.<2i+1>.ff     read, mlp, write
 *   final_norm, lm_head                  x -> logits [B, T, V]
 *
 * What a variant changes it changes at one place: the plan (which sublayers, in which order),
 * the sublayer (norms, residual: layer/sublayer.h), the branch (layer/attention.h, layer/mlp.h)
 * or either end. */
#ifndef MEGA_MODEL_TRANSFORMER_H
#define MEGA_MODEL_TRANSFORMER_H

#include "layer/attention.h"
#include "layer/positions.h"
#include "layer/sublayer.h"
#include "model/stack.h"

enum mega_final_norm {
    MEGA_FINAL_NORM_AUTO, /* as the placement of norms has it */
    MEGA_FINAL_NORM_ON,
    MEGA_FINAL_NORM_OFF
};

struct mega_transformer_options {
    int64_t vocabulary, width, layers, ffn; /* V, D, L, F */
    int64_t longest;                        /* of learned positions */
    int64_t heads, kv_heads;                /* H; G, 0: H */
    int64_t keys, values;                   /* d, 0: D / H; dv, 0: d */
    int64_t chunk;                          /* attention window; -1: none */
    struct mega_rotary_options rotary;
    int positions, act, norm, placement; /* enum mega_positions_type, mega_act, mega_norm_type,
                                            mega_placement */
    double position_scale;               /* of learned positions and sines (1) */
    double norm_eps;
    int final_norm;     /* enum mega_final_norm */
    bool causal, gated; /* gated: the feed-forward */
    bool tied;          /* the table is the head too */
    bool attention_bias, up_bias, down_bias, head_bias;
    bool norm_affine, norm_bias;
    int recompute; /* enum mega_recompute */
    double dropout, attention_dropout, hidden_dropout;
    struct mega_head_gates_options gates;
    const char *kept_heads; /* heads that were not removed (layer/kept_heads.h); NULL: all */
};

/* One step of the plan. */
struct mega_transformer_sublayer {
    char path[32]; /* "sub.0" */
    enum { MEGA_BRANCH_ATTENTION, MEGA_BRANCH_MLP } kind;
    struct mega_sublayer around;
    struct mega_attention attention; /* the branch is one of these */
    struct mega_mlp mlp;
};

struct mega_transformer {
    struct mega_transformer_options options;
    mega_tensor *table; /* [V, D] */
    struct mega_positions positions;
    struct mega_dropout drop_embed;
    struct mega_transformer_sublayer *plan; /* [steps] */
    int64_t steps;
    struct mega_stack stack;
    bool has_final_norm;
    struct mega_norm final_norm;
    mega_tensor *head, *head_bias; /* [V, D], the table itself if tied; [V] or NULL */
};

/* Declares everything below the present prefix; refuses options that cannot be, by name. */
void mega_transformer_build(
    mega_build *b, struct mega_transformer *m, const struct mega_transformer_options *options);

/* ids [B, T] I32 -> x [B, T, D], what the head reads. A causal one also runs with a stream
 * attached. */
mega_tensor *mega_transformer_features(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows);

/* The same with the head: logits [B, T, V]. */
mega_tensor *mega_transformer_run(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows);

#endif
