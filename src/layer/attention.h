/* Multi-head attention as a branch (Vaswani et al., 2017), with grouped keys and values and all
 * that variants change about it (attention_options.h), in this order:
 *
 *   q, k, v = z W_q + b_q, z W_k + b_k, z W_v + b_v        A1: H d, G d, G dv columns
 *   mixed, normalised, turned                              A2: attention_prepare.h
 *   o = attention(q, k, v)                                 A3 to A7: H dv columns
 *   scaled, gated, normalised                              A8: attention_output.h
 *   y = o W_o + b_o, zero at places that are not real      A9
 *
 * Heads may have gates, and so may the groups that share keys and values (head_gates.h): a head
 * is multiplied by both. Heads may have been removed (kept_heads.h): H and G are then those
 * that are left, and an attention without any has b_o alone. */
#ifndef MEGA_LAYER_ATTENTION_H
#define MEGA_LAYER_ATTENTION_H

#include "layer/attention_latent.h"
#include "layer/attention_output.h"
#include "layer/attention_prepare.h"
#include "layer/attention_score.h"
#include "layer/dropout.h"

struct mega_attention {
    struct mega_attention_options options;
    struct mega_attention_options used; /* the same with the heads that are left */
    struct mega_kept_heads kept;
    struct mega_head_gates gates, group_gates;
    mega_tensor *q, *k, *v, *o;                     /* weights, [out, in] */
    mega_tensor *q_bias, *k_bias, *v_bias, *o_bias; /* or NULL */
    struct mega_attention_latent latent; /* in place of q, k and v, if there is one */
    struct mega_attention_prepare prepare;
    struct mega_attention_score score;
    struct mega_attention_output output;
    struct mega_cell *context_keys, *context_values; /* of a row: what a stream keeps of it */
    struct mega_cell *memory; /* [M, D] of a row: what a segment leaves (attention_memory.h) */
};

/* What a stack lends an attention for one run, and what it gets. All may be absent. */
struct mega_attention_args {
    mega_tensor *bias;    /* (position_bias.h), of n at least mega_attention_reach */
    mega_tensor *phase;   /* [G, d]: of rotary pope */
    mega_tensor *first;   /* value residual: the first layer's values */
    mega_tensor *before;  /* residual attention: scores of the layer before */
    mega_tensor *context; /* cross: [B, S, Dc] */
    const struct mega_rows *context_rows; /* its rows */
    const struct mega_rows *keys; /* rows of its keys where some are hidden (hidden_keys.h) */
    mega_tensor *memory;          /* [B, M, D]: of the segment before, normed as z is */
    mega_tensor *values;          /* out: its own, as projected, [B, T, G dv] */
    mega_tensor *penalty;         /* in and out: the z-loss of each place so far, or NULL */
    mega_tensor *keys_from, *values_from; /* what keys and values are made of; NULL: z */
    mega_tensor *scores; /* out, of residual attention: for the next layer's `before` */
};

/* Declares the parameters below the present prefix; checks first (through b->status). */
void mega_attention_build(
    mega_build *b, struct mega_attention *m, const struct mega_attention_options *options);

/* True if no head and no bias is left: its output is zero. */
bool mega_attention_is_nothing(const struct mega_attention *m);

/* The factor that evaluation has of the k-th head that is left: its gate times its group's. */
double mega_attention_gate(const struct mega_attention *m, int64_t k);

/* Declares the states of a stream alone: of one more use of the same parameters. */
void mega_attention_states(mega_build *b, struct mega_attention *m);

/* z [B, T, D] -> [B, T, D]. */
mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows);

/* The same with what a stack lends. */
mega_tensor *mega_attention_run_with(mega_run *r, const struct mega_attention *m,
    mega_tensor *z, const struct mega_rows *rows, struct mega_attention_args *args);

/* The longest distance between a query and a key of such a run, and one: what a bias must
 * cover. */
int64_t mega_attention_reach(
    mega_run *r, const struct mega_attention *m, const struct mega_rows *rows);

#endif
