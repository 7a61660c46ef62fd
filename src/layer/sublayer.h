/* What stands around a branch: where the norms are, what scales the branch, dropout, the
 * residual.
 *
 *   z = pre(x);  y = scale(drop(branch_norm(branch(z))));  x = post(alpha w x + y)
 *
 * A placement says which of the three norms there are: pre (Xiong et al., 2020), post (Vaswani
 * et al., 2017), sandwich (Ding et al., 2021), pre and post, none. ResiDual (2304.14802) and
 * DeepNorm (2203.00555) are post with more on the stream's side; subln (2210.06423) is pre with
 * one more norm inside the branch. A branch is attention or an mlp. */
#ifndef MEGA_LAYER_SUBLAYER_H
#define MEGA_LAYER_SUBLAYER_H

#include "layer/mlp.h"
#include "layer/norm.h"

enum mega_placement {
    MEGA_PLACEMENT_PRE,
    MEGA_PLACEMENT_POST,
    MEGA_PLACEMENT_SANDWICH, /* before the branch and on its output */
    MEGA_PLACEMENT_PRE_POST,
    MEGA_PLACEMENT_NONE,
    MEGA_PLACEMENT_RESIDUAL,
    MEGA_PLACEMENT_DEEPNORM,
    MEGA_PLACEMENT_SUBLN
};
#define MEGA_PLACEMENT_CHOICES "pre|post|sandwich|pre_post|none|residual|deepnorm|subln"

/* True if a stack of such sublayers ends with one more norm. */
bool mega_placement_ends_with_norm(enum mega_placement p);

/* True if the branch reads what a norm made of the stream. */
bool mega_placement_has_pre(enum mega_placement p);

/* Of all norms of a stack, beside their kind (spec: slot B1). */
struct mega_norm_slot_options {
    bool unit_offset;
    int guard;         /* 1: eps bounds the length from below (norm.h) */
    int branch_sites;  /* enum mega_branch_sites */
    int64_t condition; /* channels of the condition of adaptive norms */
    double slope;      /* first slope of dyt and derf; 0: 1, 0.5 */
};

/* Which branches have a norm on their output. */
enum mega_branch_sites {
    MEGA_BRANCH_SITES_AUTO, /* as the placement has it */
    MEGA_BRANCH_SITES_NONE,
    MEGA_BRANCH_SITES_ATTENTION,
    MEGA_BRANCH_SITES_MLP,
    MEGA_BRANCH_SITES_ALL
};

#define MEGA_NORM_FIELD(at, member) ((at) + offsetof(struct mega_norm_slot_options, member))
#define MEGA_NORM_SLOT_OPTIONS(at)                                                             \
    { "norm_unit_offset", MEGA_OPTION_BOOL, MEGA_NORM_FIELD(at, unit_offset), "false", 0, 0,   \
        NULL, NULL, "gains are stored less 1, so that decay pulls them to 1", 0 },             \
        { "rms_guard", MEGA_OPTION_CHOICE, MEGA_NORM_FIELD(at, guard), "eps", 0, 0, "eps|max", \
            NULL,                                                                              \
            "rmsnorm and scalenorm: eps inside the root, or as the least length that divides", \
            0 },                                                                               \
        { "norm_branch_sites", MEGA_OPTION_CHOICE, MEGA_NORM_FIELD(at, branch_sites), "auto",  \
            0, 0, "auto|none|attn|ff|all", NULL,                                               \
            "branches with a norm on their output; auto: as the placement has it", 0 },        \
        { "norm_condition", MEGA_OPTION_INT, MEGA_NORM_FIELD(at, condition), "0", 0, 1 << 20,  \
            NULL, "N", "channels of the condition of adaptive norms", 0 },                     \
    {                                                                                          \
        "norm_slope", MEGA_OPTION_REAL, MEGA_NORM_FIELD(at, slope), "0", 0, 100, NULL, "X",    \
            "first slope of dyt and derf; 0: 1 and 0.5", 0                                     \
    }

/* What a branch's output is multiplied with (spec: slot B3). */
enum mega_branch_scale { MEGA_BRANCH_SCALE_NONE, MEGA_BRANCH_LAYERSCALE, MEGA_BRANCH_ADAPTIVE };

struct mega_branch_options {
    int scale;                 /* enum mega_branch_scale */
    double first;              /* of layerscale */
    struct mega_reals dropout; /* of each sublayer's branch; 0: as dropout */
};

#define MEGA_BRANCH_FIELD(at, member) ((at) + offsetof(struct mega_branch_options, member))
#define MEGA_BRANCH_OPTIONS(at)                                                                \
    { "branch_scale", MEGA_OPTION_CHOICE, MEGA_BRANCH_FIELD(at, scale), "none", 0, 0,          \
        "none|layerscale|adaptive", NULL,                                                      \
        "learned factors of a branch's output: of each channel, or of a condition", 0 },       \
        { "layerscale_init", MEGA_OPTION_REAL, MEGA_BRANCH_FIELD(at, first), "1e-4", -1e6,     \
            1e6, NULL, "X", "first factors of layerscale", 0 },                                \
    {                                                                                          \
        "sublayer_dropout", MEGA_OPTION_REALS, MEGA_BRANCH_FIELD(at, dropout), "0", 0, 0.999,  \
            NULL, "P", "dropout of branches; 0: as dropout", 0                                 \
    }

/* What the three norms are called below the present prefix. */
struct mega_sublayer_names {
    const char *pre, *branch, *post;
};

struct mega_sublayer_options {
    enum mega_placement placement;
    struct mega_norm_options norm;
    bool branch_norm, no_branch_norm; /* whatever the placement says */
    double dropout;                   /* of the branch */
    bool feature_dropout;
    const char *site;                        /* of its draws */
    const struct mega_sublayer_names *names; /* NULL: norm_pre, norm_branch, norm_post */
    double factor;                           /* of the branch; 0: 1 */
    enum mega_branch_scale scale;
    double first; /* of layerscale */
    double alpha; /* of the stream; 0: 1 */
    bool learned; /* of the stream's channels: res_scale */
};

struct mega_sublayer {
    unsigned sites; /* of norms; see sublayer.c */
    struct mega_norm pre, branch, post;
    struct mega_dropout drop;
    double factor, alpha;
    mega_tensor *layer_scale, *res_scale;        /* [D] or NULL */
    mega_tensor *branch_gate, *branch_gate_bias; /* [D, Dc], [D]: adaptive */
};

void mega_sublayer_build(
    mega_build *b, struct mega_sublayer *s, const struct mega_sublayer_options *options);

/* What the branch gets, from the stream x [B, T, D]. */
mega_tensor *mega_sublayer_read(mega_run *r, const struct mega_sublayer *s, mega_tensor *x);

/* The same with a condition of adaptive norms [B, T, Dc], or NULL. */
mega_tensor *mega_sublayer_read_with(
    mega_run *r, const struct mega_sublayer *s, mega_tensor *x, mega_tensor *condition);

/* What goes to the stream of a branch's output y: normed, dropped, scaled. */
mega_tensor *mega_sublayer_scale(mega_run *r, const struct mega_sublayer *s, mega_tensor *y,
    mega_tensor *condition, const struct mega_rows *rows);

/* What the stream keeps of itself, and the norm after the sum. */
mega_tensor *mega_sublayer_keep(mega_run *r, const struct mega_sublayer *s, mega_tensor *x);
mega_tensor *mega_sublayer_settle(
    mega_run *r, const struct mega_sublayer *s, mega_tensor *x, mega_tensor *condition);

/* The stream after the branch gave y. */
mega_tensor *mega_sublayer_write(mega_run *r, const struct mega_sublayer *s, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows);

/* All of a sublayer whose branch is an mlp. */
mega_tensor *mega_sublayer_mlp(mega_run *r, const struct mega_sublayer *s,
    const struct mega_mlp *f, mega_tensor *x, const struct mega_rows *rows);

/* True if what the branch gives is just added to what the stream was: then an mlp may do it at
 * once. */
bool mega_sublayer_is_plain(const struct mega_sublayer *s);

/* True if a branch that gives nothing leaves the stream as it was. */
bool mega_sublayer_only_adds(const struct mega_sublayer *s);

#endif
