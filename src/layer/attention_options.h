/* What attention's variants ask for: a struct a group of slots (A1 to A9 of the seams, ADR 7),
 * and their rows in a model's option table. */
#ifndef MEGA_LAYER_ATTENTION_OPTIONS_H
#define MEGA_LAYER_ATTENTION_OPTIONS_H

#include "base/option.h"
#include "layer/head_gates.h"
#include "layer/kept_heads.h"
#include "layer/norm.h"
#include "layer/position_bias.h"
#include "op/contracts.h"

enum mega_rotary_kind {
    MEGA_ROTARY_NONE, /* with dims: as rope */
    MEGA_ROTARY_ROPE, /* Su et al., 2021 */
    MEGA_ROTARY_XPOS, /* fading over distance (Sun et al., 2022) */
    MEGA_ROTARY_POPE  /* magnitude and angle apart (2509.10534): heads twice as wide */
};
#define MEGA_ROTARY_CHOICES "none|rope|xpos|pope"

struct mega_rotary_options {
    int64_t dims; /* channels of a head that turn, an even number; 0: all, if kind says so */
    double base, factor; /* of the frequencies; positions are divided by it */
    bool interleaved;    /* pairs 2t, 2t + 1; else t, t + dims / 2 */
    int kind;            /* enum mega_rotary_kind */
    double ntk;          /* base grows by ntk^(dims / (dims - 2)); 0: 1 */
    int64_t heads;       /* only so many turn, the last ones; 0: all */
    double xpos_base;    /* places over which xpos fades once; 0: 512 */
};

/* ---- queries, keys and values before they meet: A1 to A3 ---- */

enum mega_qk_norm { MEGA_QK_NORM_NONE, MEGA_QK_NORM_L2, MEGA_QK_NORM_RMS, MEGA_QK_NORM_K_RMS };
enum mega_qk_scale { MEGA_QK_SCALE_FIXED, MEGA_QK_SCALE_LEARNED, MEGA_QK_SCALE_HEADS };
enum mega_value_residual {
    MEGA_VALUE_RESIDUAL_NONE,
    MEGA_VALUE_RESIDUAL_HALF,
    MEGA_VALUE_RESIDUAL_LEARNED
};

struct mega_attention_prepare_options {
    int qk_norm;        /* enum mega_qk_norm */
    int64_t groups;     /* l2: of a head's channels; 0: 1 */
    int qk_scale_kind;  /* l2: enum mega_qk_scale */
    double qk_scale;    /* l2, fixed: of the scores; 0: 10 */
    bool dim_scale;     /* l2: learned gains of the channels in its place */
    int value_norm;     /* 1: values of mean square 1 */
    int value_residual; /* enum mega_value_residual; the first layer takes no part */
    int64_t memories;   /* learned keys and values that all see */
    bool laser;
    int64_t kv_latent, q_latent; /* channels; 0: none */
    bool latent_norm;
};

/* ---- scores, masks, weights: A4 to A7 ---- */

enum { MEGA_TALKING_PRE = 1, MEGA_TALKING_POST = 2 }; /* bits */
enum { MEGA_SIGMOID_NEG_LOG, MEGA_SIGMOID_NONE };

struct mega_attention_score_options {
    int fn;             /* enum mega_attention_fn */
    int64_t top;        /* of topk */
    bool through;       /* topk: gradients of the softmax */
    int sigmoid_bias;   /* -log(longest), or none */
    double temperature; /* of gumbel; 0: 1 */
    bool gumbel_hard;   /* gumbel: weight 1 at the largest, gradients of the softmax */
    int gumbel_eval;    /* gumbel: 1: outside training the largest score without noise */
    int l2;             /* 1: squared distances */
    bool sink;
    int64_t zeros;
    double clamp;
    int talking; /* MEGA_TALKING_... */
    bool talking_scaled;
    bool selective, residual;
    int carry;           /* residual: 1: what is carried on has bias and clamp */
    int64_t past;        /* keys at most so many places away; 0: any number */
    double hide;         /* share of keys that training hides, at most */
    bool hide_fixed;     /* exactly that share */
    double context_drop; /* cross: share of the context that training hides */
    int64_t prefix;      /* keys below it are seen by all queries */
    int exec;            /* enum mega_attention_exec */
};

/* ---- heads joined: A8 and A9 ---- */

enum { MEGA_ON_ATTENTION = 1, MEGA_ON_ATTENTION_PAPER };
enum { MEGA_HYBRID_EMA = 1, MEGA_HYBRID_CEMA };
enum { MEGA_BELIEF_WHOLE = 1, MEGA_BELIEF_HEADS = 2 }; /* bits */

struct mega_attention_output_options {
    bool head_scale, gate_values, gate_heads, gate_bias;
    bool gate_output;              /* gates read the heads' output too */
    int64_t gate_rank;             /* they go through so many channels; 0: at once */
    int gate_act;                  /* 0: sigmoid, 1: silu */
    int on_attn;                   /* MEGA_ON_ATTENTION...; 0: no */
    int belief;                    /* MEGA_BELIEF_... */
    int hybrid;                    /* MEGA_HYBRID_...: a module beside attention; 0: none */
    int64_t hybrid_states;         /* N of its moving average */
    bool hybrid_mix;               /* weights that the input gives */
    bool inner_norm;               /* before the last projection (2210.06423) */
    struct mega_norm_options norm; /* its kind; the width is the layer's affair */
};

/* ---- all of it ---- */

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
    int64_t longest;                          /* a long text: what -log and log2 are taken of */
    double norm_eps;                          /* of its rms norms; 0: 1e-5 */
    bool cross;                               /* keys and values from a context */
    int64_t context;                          /* its width Dc; 0: D */
    int64_t context_places; /* what a stream keeps of it; 0: it comes with every pass */
    int64_t memory;         /* places of the segments before that queries see; 0: none */
    int64_t segment;        /* of the same text in one pass; 0: a pass is one segment */
    int through;   /* 1: gradients go through memories: with segments of a pass alone */
    double z_loss; /* weight of the squared logarithms of the softmax's sums; 0: none */
    double clip;   /* largest score that an update leaves a head; 0: any */
    struct mega_attention_prepare_options prepare;
    struct mega_position_bias_options position;
    struct mega_attention_score_options score;
    struct mega_attention_output_options output;
};

/* Refuses options that cannot be, by name. */
mega_status mega_attention_check(const struct mega_attention_options *options);

/* What attention_options.def's X stands for in the table of a model with a field of this struct
 * at `at`. */
#define MEGA_ATTENTION_ROW(at, name, type, member, fallback, least, most, choices, unit, help) \
    {                                                                                          \
        name, MEGA_OPTION_##type, (at) + offsetof(struct mega_attention_options, member),      \
            fallback, least, most, choices, unit, help, 0                                      \
    }

#endif
