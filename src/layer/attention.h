/* Multi-head attention as a branch (Vaswani et al., 2017), with grouped keys and values, rotary
 * positions, windows, and a stream's keys and values kept.
 *
 *   q, k, v = z W_q + b_q, z W_k + b_k, z W_v + b_v        H d, G d, G dv columns
 *   o = attention(rotate(q), rotate(k), v)                 H dv columns
 *   y = gates(o) W_o + b_o, zero at places that are not real
 *
 * Heads may have gates (head_gates.h) and may have been removed (kept_heads.h): H and G are
 * then those that are left, and an attention without any has b_o alone. */
#ifndef MEGA_LAYER_ATTENTION_H
#define MEGA_LAYER_ATTENTION_H

#include "layer/dropout.h"
#include "layer/head_gates.h"
#include "layer/kept_heads.h"

/* Rotary positions of queries and keys; off where dims is 0. */
struct mega_rotary_options {
    int64_t dims; /* channels of a head that turn, an even number */
    double base, factor;
    bool interleaved;
};

/* What the projections are called below the present prefix. */
struct mega_attention_names {
    const char *q, *k, *v, *o;
};
extern const struct mega_attention_names mega_attention_official; /* q_proj ... out_proj */

struct mega_attention_options {
    int64_t width;           /* D */
    int64_t heads, kv_heads; /* H, G */
    int64_t keys, values;    /* d, dv: of one head */
    int64_t chunk;           /* window C; -1: none */
    bool causal, bias;       /* bias: of the four projections */
    double dropout;          /* of the weights */
    double scale;            /* of the scores; 0: 1 / sqrt(d) */
    struct mega_rotary_options rotary;
    struct mega_head_gates_options gates;
    const char *kept; /* heads that are left, a list a layer; NULL or "": all */
    int64_t layer;    /* which list is its own */
    const struct mega_attention_names *names; /* NULL: q, k, v, o */
};

struct mega_attention {
    struct mega_attention_options options;
    struct mega_kept_heads kept;
    struct mega_head_gates gates;
    mega_tensor *q, *k, *v, *o;                     /* weights, [out, in] */
    mega_tensor *q_bias, *k_bias, *v_bias, *o_bias; /* or NULL */
    struct mega_cell *past_keys, *past_values; /* logs of a stream; NULL where not causal */
};

/* Refuses options that cannot be, by name. */
mega_status mega_attention_check(const struct mega_attention_options *options);

/* Declares the projections below the present prefix; checks first (through b->status). */
void mega_attention_build(
    mega_build *b, struct mega_attention *m, const struct mega_attention_options *options);

/* True if no head and no bias is left: its output is zero. */
bool mega_attention_is_nothing(const struct mega_attention *m);

/* z [B, T, D] -> [B, T, D]. */
mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows);

#endif
