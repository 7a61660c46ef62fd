/* The residual stream: what a sublayer's branch reads of it, and how it takes in what the
 * branch gives (spec: slot M3). All that it holds between sublayers lies in the carry.
 *
 *   add          x = alpha x + y                                     (sublayer.h: alpha, norms)
 *   gru          x = GRU(x, y): gates of the GTrXL (1910.06764)
 *   orthogonal   x = x + y - (y.x / |x|^2) x                         (2505.11881)
 *   mv_split     x = x + b (y - mean y) + a (mean y - mean x)        (2605.06169)
 *   lime         the branch reads a mixture of all that x has been   (2502.09245)
 *   depth_attn   attention of each place over all that x has been    (depth.h)
 *   streams > 1  S streams, mixed by learned weights (hyper.h)
 *
 * ResiDual carries a second stream that only sums (2304.14802). U-Net skips (2209.12152) and
 * reinjection of the input (1909.01377) go with add. */
#ifndef MEGA_LAYER_RESIDUAL_H
#define MEGA_LAYER_RESIDUAL_H

#include "layer/depth.h"
#include "layer/hyper.h"
#include "layer/passed.h"
#include "layer/sublayer.h"

enum mega_residual_kind {
    MEGA_RESIDUAL_ADD,
    MEGA_RESIDUAL_GRU,
    MEGA_RESIDUAL_ORTHOGONAL,
    MEGA_RESIDUAL_MV_SPLIT,
    MEGA_RESIDUAL_LIME,
    MEGA_RESIDUAL_DEPTH
};
#define MEGA_RESIDUAL_CHOICES "add|gru|orthogonal|mv_split|lime|depth_attn"

enum mega_scaled { MEGA_SCALED_NONE, MEGA_SCALED_MLP, MEGA_SCALED_ALL };

struct mega_residual_options {
    int kind;        /* enum mega_residual_kind */
    int gate;        /* of gru: 0 as the GTrXL has it, 1 a stock GRU cell */
    bool gate_relu;  /* of gru: relu(y) in place of y */
    int scale;       /* enum mega_scaled: learned factors of the stream */
    double alpha;    /* factor of the stream; 0: as the placement has it */
    double second;   /* c of ResiDual: of what its second stream sums; 0: 1 */
    int64_t streams; /* S; 0: 1 */
    int constraint;  /* of their mixture: 1 doubly stochastic */
    int64_t rounds;  /* of making it so; 0: 5 */
    bool unet, reinject, reinject_gate;
    int sample;          /* orthogonal: 1 over all places of a text at once */
    int64_t views;       /* R of lime and streams: 3 for queries, keys and values; 0: 1 */
    int64_t depth_heads; /* of depth attention; 0: 1 */
    int depth_query;     /* 0: learned, 1: made of the last state */
    int depth_pure;      /* 1: x becomes what the branch gives, and is not added to it */
};

#define MEGA_RESIDUAL_FIELD(at, member) ((at) + offsetof(struct mega_residual_options, member))
#define MEGA_RESIDUAL_OPTIONS(at)                                                              \
    { "residual", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, kind), "add", 0, 0,              \
        MEGA_RESIDUAL_CHOICES, NULL, "how the stream takes in what a branch gives", 0 },       \
        { "residual_gate", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, gate), "gtrxl", 0, 0,   \
            "gtrxl|gru_cell", NULL, "gru: gates as in the GTrXL, or of a stock GRU cell", 0 }, \
        { "residual_gate_relu", MEGA_OPTION_BOOL, MEGA_RESIDUAL_FIELD(at, gate_relu), "false", \
            0, 0, NULL, NULL, "gru: the gates see relu of what the branch gives", 0 },         \
        { "scale_residual", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, scale), "none", 0, 0,  \
            "none|ff|all", NULL, "sublayers with learned factors of the stream's channels",    \
            0 },                                                                               \
        { "residual_alpha", MEGA_OPTION_REAL, MEGA_RESIDUAL_FIELD(at, alpha), "0", 0, 1e6,     \
            NULL, "X", "factor of the stream; 0: as the placement has it", 0 },                \
        { "residual_scale", MEGA_OPTION_REAL, MEGA_RESIDUAL_FIELD(at, second), "1", 1e-6, 1,   \
            NULL, "X", "placement residual: factor of what the second stream sums", 0 },       \
        { "residual_streams", MEGA_OPTION_INT, MEGA_RESIDUAL_FIELD(at, streams), "1", 1,       \
            MEGA_HYPER_MOST, NULL, "N", "streams of hyper-connections; 1: none", 0 },          \
        { "stream_constraint", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, constraint),        \
            "none", 0, 0, "none|doubly_stochastic", NULL, "of how streams are mixed", 0 },     \
        { "stream_rounds", MEGA_OPTION_INT, MEGA_RESIDUAL_FIELD(at, rounds), "5", 1, 20, NULL, \
            "N", "rounds that make the mixture doubly stochastic", 0 },                        \
        { "unet_skips", MEGA_OPTION_BOOL, MEGA_RESIDUAL_FIELD(at, unet), "false", 0, 0, NULL,  \
            NULL, "layers of the second half read the input of their mirror image too", 0 },   \
        { "reinject_input", MEGA_OPTION_BOOL, MEGA_RESIDUAL_FIELD(at, reinject), "false", 0,   \
            0, NULL, NULL, "every branch reads a projection of the stack's input too", 0 },    \
        { "reinject_gate", MEGA_OPTION_BOOL, MEGA_RESIDUAL_FIELD(at, reinject_gate), "false",  \
            0, 0, NULL, NULL, "which has a gate", 0 },                                         \
        { "residual_views", MEGA_OPTION_INT, MEGA_RESIDUAL_FIELD(at, views), "1", 1,           \
            MEGA_VIEWS, NULL, "N",                                                             \
            "residual_streams and lime: 3: queries, keys and values read mixtures of their "   \
            "own",                                                                             \
            0 },                                                                               \
        { "depth_attn_heads", MEGA_OPTION_INT, MEGA_RESIDUAL_FIELD(at, depth_heads), "1", 1,   \
            1 << 10, NULL, "H", "depth_attn: heads over the depth", 0 },                       \
        { "depth_attn_query", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, depth_query),        \
            "learned", 0, 0, "learned|state", NULL,                                            \
            "depth_attn: one query a sublayer, or made of the last state", 0 },                \
        { "depth_attn_add", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, depth_pure), "true",   \
            0, 0, "true|false", NULL,                                                          \
            "depth_attn: branches are added to the stream, or are its next state alone", 0 },  \
    {                                                                                          \
        "orthogonal_scope", MEGA_OPTION_CHOICE, MEGA_RESIDUAL_FIELD(at, sample), "token", 0,   \
            0, "token|sample", NULL, "orthogonal: products over a place or over a text", 0     \
    }

struct mega_residual {
    enum mega_residual_kind kind;
    bool stock, relu, sample; /* gru: a stock cell, relu(y); orthogonal: over a text */
    double second;            /* c of ResiDual; 0: there is no second stream */
    mega_tensor *wr, *wz, *wh, *ur, *uz, *uh;      /* gru: [D, D], of y and of x */
    mega_tensor *br, *bz, *bh, *cr, *cz, *ch, *bg; /* [D] */
    mega_tensor *a, *b;                            /* mv_split: [D] */
    mega_tensor *skip;          /* [D, 2D]: of [the mirror image's input, x]; or NULL */
    int64_t keep_as, skip_from; /* places in the list of states; -1: none */
    struct mega_norm lime_norm;
    mega_tensor *lime, *lime_bias; /* [R (k + 1), D], [R (k + 1)] of the k-th sublayer, or NULL
                                    */
    int64_t states;                /* k + 1: of lime and depth attention */
    struct mega_depth depth;
    bool pure;               /* depth attention alone makes what branches read */
    struct mega_hyper hyper; /* streams above 1 */
};

/* What a branch's way in leaves for its way out. */
struct mega_residual_turn {
    mega_tensor *alpha, *beta;  /* of hyper-connections */
    mega_tensor *keys, *values; /* what they are made of, where queries have their own; or NULL
                                 */
};

/* Where a sublayer's part of the stream stands. */
struct mega_residual_place {
    int64_t width, k; /* D, its number */
    bool second;      /* there is a second stream (ResiDual) */
    bool skips;       /* it reads the input of its mirror image */
    bool views;       /* it is a self-attention: queries, keys and values may differ */
};

/* The part of a sublayer, below the present prefix. */
void mega_residual_build(mega_build *b, struct mega_residual *m,
    const struct mega_residual_options *options, const struct mega_residual_place *place);

/* What the branch reads before its norm. */
mega_tensor *mega_residual_read(mega_run *r, const struct mega_residual *m,
    struct mega_carry *c, struct mega_residual_turn *turn);

/* Takes in what the branch gave, scaled already; `around` says what x keeps and the norm after.
 */
void mega_residual_write(mega_run *r, const struct mega_residual *m,
    const struct mega_sublayer *around, struct mega_carry *c,
    const struct mega_residual_turn *turn, mega_tensor *y, const struct mega_rows *rows);

/* True if x + y is all that happens, before the norm after. */
bool mega_residual_is_plain(const struct mega_residual *m);

#endif
