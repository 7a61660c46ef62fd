/* The feed-forward branch of a block, without its norm: two layers, or three with a gate
 * (Shazeer, 2020).
 *
 *   plain: y = down drop(act(up z + b_up)) + b_down
 *   gated: y = down drop((up z + b_up) act(gate z + b_gate)) + b_down
 *
 * Between the activation and the last layer variants clamp, scale or normalise (spec: slot F1):
 * h = clamp(up z), clamp(gate z) in their places; h m; norm(h).
 *
 * Blocks of its inside's channels may have gates (head_gates.h), before dropout, and may have
 * been removed (kept_heads.h): F is then what is left, and without any block there is b_down
 * alone. */
#ifndef MEGA_LAYER_MLP_H
#define MEGA_LAYER_MLP_H

#include "base/option.h"
#include "layer/dropout.h"
#include "layer/head_gates.h"
#include "layer/kept_heads.h"
#include "layer/norm.h"
#include "op/contracts.h"

/* What the three projections are called below the present prefix. */
struct mega_mlp_names {
    const char *up, *gate, *down;
};
extern const struct mega_mlp_names mega_mlp_official; /* fc1, fc3, fc2 */

enum { MEGA_MLP_SOLU = MEGA_ACTS }; /* norm(h softmax(h)) in place of a pointwise function */
#define MEGA_MLP_ACT_CHOICES MEGA_ACT_CHOICES "|solu"

struct mega_mlp_slot_options {
    bool mult_bias;           /* a factor of each channel, starting as 1 */
    bool post_norm;           /* after the activation (NormFormer: 2110.09456) */
    double clamp, gate_clamp; /* c tanh(h / c) of what up and gate give; 0: none */
};

#define MEGA_MLP_FIELD(at, member) ((at) + offsetof(struct mega_mlp_slot_options, member))
#define MEGA_MLP_SLOT_OPTIONS(at)                                                              \
    { "ff_glu_mult_bias", MEGA_OPTION_BOOL, MEGA_MLP_FIELD(at, mult_bias), "false", 0, 0,      \
        NULL, NULL, "learned factors of the feed-forward's inside", 0 },                       \
        { "ff_post_act_norm", MEGA_OPTION_BOOL, MEGA_MLP_FIELD(at, post_norm), "false", 0, 0,  \
            NULL, NULL, "norm after the feed-forward's activation", 0 },                       \
        { "ff_clamp", MEGA_OPTION_REAL, MEGA_MLP_FIELD(at, clamp), "0", 0, 1e6, NULL, "X",     \
            "bound c of what the first layer gives, c tanh(h / c); 0: none", 0 },              \
    {                                                                                          \
        "ff_gate_clamp", MEGA_OPTION_REAL, MEGA_MLP_FIELD(at, gate_clamp), "0", 0, 1e6, NULL,  \
            "X", "the same of what the gate gives", 0                                          \
    }

enum { MEGA_CHANNEL_BLOCK = 16 }; /* channels of a block, where nothing is said */

/* The rows of gates of channels, for fields of gates, of int64_t and of const char *. */
#define MEGA_CHANNEL_GATES_OPTIONS(gates, block, kept)                                         \
    { "channel_gates", MEGA_OPTION_CHOICE, MEGA_HEAD_GATES_FIELD(gates, channels), "none", 0,  \
        0, "none|concrete", NULL, "gates of blocks of the feed-forward's channels", 0 },       \
        { "channel_block", MEGA_OPTION_INT, block, "16", 1, 1 << 20, NULL, "N",                \
            "channels of a block, which divide the feed-forward", 0 },                         \
    {                                                                                          \
        "kept_channels", MEGA_OPTION_TEXT, kept, "", 0, 0, NULL, "LIST",                       \
            "blocks of channels that were not removed, a list a feed-forward: \"0 2-7; all; "  \
            "-\"; empty: all (mega heads prune)",                                              \
            0                                                                                  \
    }

struct mega_mlp_options {
    int64_t width, hidden; /* D, F */
    int act;               /* enum mega_act, or MEGA_MLP_SOLU */
    bool gated;
    bool up_bias, down_bias;            /* up_bias: of the gate too */
    double dropout;                     /* of the inside */
    bool feature_dropout;               /* it drops whole channels of a row */
    const struct mega_init *init;       /* of the weights; NULL: normal, 0.02 */
    const struct mega_mlp_names *names; /* NULL: the official ones */
    struct mega_mlp_slot_options slot;
    struct mega_norm_options norm;        /* its kind, where there is one inside */
    struct mega_head_gates_options gates; /* of channels */
    int64_t block;                        /* channels of a block */
    const char *kept; /* blocks that are left, a list a layer; NULL or "": all */
    int64_t layer;    /* which list is its own */
};

struct mega_mlp {
    struct mega_mlp_options options;
    int64_t hidden;               /* F that is left */
    struct mega_kept_heads kept;  /* blocks, as heads; nothing where there is no talk of them */
    struct mega_head_gates gates; /* of them */
    mega_tensor *up, *up_bias, *gate, *gate_bias; /* [F,D], [F] */
    mega_tensor *down, *down_bias;                /* [D,F], [D] */
    mega_tensor *mult;                            /* [F] or NULL */
    bool has_norm;
    struct mega_norm norm;
    struct mega_dropout drop;
};

void mega_mlp_build(mega_build *b, struct mega_mlp *f, const struct mega_mlp_options *options);

/* True if no channel and no bias is left: its output is zero. */
bool mega_mlp_is_nothing(const struct mega_mlp *f);

/* z [B, T, D] -> [B, T, D]. */
mega_tensor *mega_mlp_run(
    mega_run *r, const struct mega_mlp *f, mega_tensor *z, const struct mega_rows *rows);

/* residual + drop(mlp(z)), at once where a kernel takes it. */
mega_tensor *mega_mlp_add(mega_run *r, const struct mega_mlp *f, mega_tensor *z,
    mega_tensor *residual, const struct mega_dropout *drop, const struct mega_rows *rows);

#endif
