/* The Transformer from tokens to logits, encoder or decoder: a plan of sublayers over one
 * residual stream, by the names of the Transformer's own files.
 *
 *   tok_emb, pos_emb                     embed: [B, T] ids -> x [B, T, D]
 *   sub.<2i>.norm_*, sub.<2i>.attn       read, attention, write
 *   sub.<2i+1>.norm_*, sub.<2i+1>.ff     read, mlp, write
 *   final_norm, lm_head                  x -> logits [B, T, V]
 *
 * What a variant changes it changes at one place (docs/adr/0007): the plan (plan.h), either end
 * (transformer_embedding.h, transformer_head.h), the sublayer (norms, shift, scale:
 * layer/sublayer.h, layer/shift.h), the stream (layer/residual.h), the branch
 * (layer/attention.h, layer/mlp.h). */
#ifndef MEGA_MODEL_TRANSFORMER_H
#define MEGA_MODEL_TRANSFORMER_H

#include "layer/attention.h"
#include "layer/position_bias.h"
#include "layer/residual.h"
#include "layer/shift.h"
#include "model/exit_gate.h"
#include "model/plan.h"
#include "model/stack.h"
#include "model/transformer_embedding.h"
#include "model/transformer_head.h"

enum mega_final_norm {
    MEGA_FINAL_NORM_AUTO, /* as the placement of norms has it */
    MEGA_FINAL_NORM_ON,
    MEGA_FINAL_NORM_OFF
};

/* How weights begin. */
enum mega_start { MEGA_START_NORMAL, MEGA_START_SMALL };

/* What cross-attention has that self-attention has not. */
struct mega_cross_options {
    int64_t memories; /* learned keys and values; -1: as self-attention has */
    int fn;           /* 0: as self-attention; else enum mega_attention_fn + 1 */
    bool residual;    /* scores of the cross-attention before are added */
};

/* A list has a value for each module of its kind, in the order of the plan. */
struct mega_transformer_options {
    int64_t vocabulary, width; /* V, D */
    int64_t context_width;     /* Dc, 0: D */
    int64_t longest;           /* of learned positions */
    struct mega_plan_options plan;
    struct mega_ints ffn;                    /* F of each feed-forward */
    double ffn_factor;                       /* F = factor D; 0: as ffn says */
    struct mega_ints heads, kv_heads;        /* H of each attention; G, 0: H */
    struct mega_ints keys, values;           /* d, 0: D / H; dv, 0: d */
    struct mega_ints chunk;                  /* attention window; -1: none */
    struct mega_attention_options attention; /* what all of them share; the rest is filled in */
    struct mega_cross_options cross;
    int64_t
        full_every; /* of so many attentions the last has no attention.score.past; 0: none */
    int64_t shift_memory; /* attentions that a memory moves down by at every segment */
    int wrap_memory;      /* 1: the top ones keep their own; 0: get the lowest */
    int positions, act, norm, placement; /* enum mega_positions_type, mega_act or
                                            MEGA_MLP_SOLU, mega_norm_type, mega_placement */
    double position_scale;               /* of learned positions and sines (1) */
    double norm_eps;
    int final_norm;     /* enum mega_final_norm */
    bool causal, gated; /* gated: the feed-forward */
    bool numbers;       /* real numbers instead of ids */
    bool tied;          /* the table is the head too */
    bool headless;      /* no head: features alone */
    bool attention_bias, up_bias, down_bias, head_bias;
    bool norm_affine, norm_bias;
    struct mega_norm_slot_options norms;
    struct mega_branch_options branch;
    struct mega_shift_options shift;
    struct mega_residual_options residual;
    struct mega_mlp_slot_options mlp;
    struct mega_embedding_options embedding;
    struct mega_transformer_head_options head;
    bool deep;       /* a token's own factors of what each feed-forward gives */
    int start;       /* enum mega_start: small is N(0, 2/(5D)) for attention (1910.05895) */
    double std;      /* of all weights; 0: 0.02 */
    bool zero_init;  /* branches begin as zero */
    bool depth_init; /* the last weights of branches by 1 / sqrt(2 layers) */
    int recompute;   /* enum mega_recompute */
    double dropout;  /* of embeddings and branches, where they do not say */
    struct mega_reals attention_dropout, hidden_dropout;
    struct mega_exit_options exit; /* of loops */
    int64_t recycle;      /* passes over the stack, each with what the last one gave; 0: 1 */
    int64_t other_layers; /* of a decoder's encoder, an encoder's decoder; 0: none */
    mega_tensor *table;   /* the tokens' table, where another model has it */
    const char *by_layer; /* what single layers have otherwise (model/layer_options.h); NULL */
    struct mega_head_gates_options gates;
    const char *kept_heads;    /* heads that were not removed (layer/kept_heads.h); NULL: all */
    const char *kept_cross;    /* those of cross-attention */
    const char *kept_channels; /* blocks of the feed-forwards' channels, each so wide: */
    int64_t channel_block;
};

/* One execution of the plan: its module's parameters, its own states. */
struct mega_transformer_sublayer {
    char path[32];  /* "sub.0" */
    int repeat;     /* which execution of the module this is */
    int64_t module; /* in the plan */
    enum mega_branch_kind kind;
    bool empty;          /* an attention without heads: the branch gives its bias alone */
    double drop;         /* share of the steps that leave it out */
    int64_t deep;        /* which feed-forward of the plan it is, for its factors */
    int64_t memory_from; /* the execution whose memory of a segment it reads */
    struct mega_sublayer around;
    struct mega_residual residual;
    struct mega_shift shift;
    struct mega_attention attention; /* the branch is one of these */
    struct mega_mlp mlp;
};

struct mega_transformer {
    struct mega_transformer_options options;
    struct mega_layer_plan plan;
    struct mega_transformer_embedding embedding;
    struct mega_transformer_sublayer *step; /* [plan.steps] */
    struct mega_stack stack;
    int64_t listed;                        /* states of the stream that are kept for later */
    mega_tensor *reinject, *reinject_gate; /* [D, D], [1, D] or NULL */
    mega_tensor *recycle;                  /* [D, D]: of the pass before, or NULL */
    struct mega_exit_gate exit;            /* of loops */
    mega_tensor *deep;    /* [V, feed-forwards D]: factors of what these give, or NULL */
    mega_tensor *streams; /* [S, D]: of hyper-connections, or NULL */
    struct mega_position_bias bias; /* of all self-attentions */
    mega_tensor *phase;             /* [G, d]: of rotary pope, or NULL */
    int64_t first, first_cross; /* the executions whose values others mix in; -1: none does */
    struct mega_depth depth; /* what the head reads of all states, where these are not added */
    bool has_final_norm;
    struct mega_norm final_norm;
    struct mega_transformer_head head;
};

/* What the i-th attention of a stack, self or cross, is built with. */
struct mega_attention_options mega_transformer_attention(
    const struct mega_transformer_options *o, int64_t i, bool cross);

/* Declares everything below the present prefix; refuses options that cannot be, by name. */
void mega_transformer_build(
    mega_build *b, struct mega_transformer *m, const struct mega_transformer_options *options);

/* ids [B, T] I32 -> x [B, T, D], what the head reads; of loops in training [B, T, n D], what
 * each gave. A causal one also runs with a stream attached. */
mega_tensor *mega_transformer_features(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows);

/* The same of all that an embedding may be given; *classes becomes [B, c, D], what class tokens
 * came to (NULL: not wanted, or none). */
mega_tensor *mega_transformer_features_of(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_rows *rows,
    mega_tensor **classes);

/* The same with the head: logits [B, T, V], of the last loop in training. */
mega_tensor *mega_transformer_run(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows);

#endif
