/* What stands around a branch: where the norms are, dropout, the residual.
 *
 *   z = pre(x);  y = drop(branch(z));  x = post(x + branch_norm(y))
 *
 * A placement says which of the three norms there are: pre (Xiong et al., 2020), post (Vaswani
 * et al., 2017), sandwich, pre and post, none. A branch is attention or an mlp. */
#ifndef MEGA_LAYER_SUBLAYER_H
#define MEGA_LAYER_SUBLAYER_H

#include "layer/mlp.h"
#include "layer/norm.h"

enum mega_placement {
    MEGA_PLACEMENT_PRE,
    MEGA_PLACEMENT_POST,
    MEGA_PLACEMENT_SANDWICH, /* before the branch and on its output */
    MEGA_PLACEMENT_PRE_POST,
    MEGA_PLACEMENT_NONE
};
#define MEGA_PLACEMENT_CHOICES "pre|post|sandwich|pre_post|none"

/* True if a stack of such sublayers ends with one more norm. */
bool mega_placement_ends_with_norm(enum mega_placement p);

/* What the three norms are called below the present prefix. */
struct mega_sublayer_names {
    const char *pre, *branch, *post;
};

struct mega_sublayer_options {
    enum mega_placement placement;
    struct mega_norm_options norm;
    double dropout; /* of the branch */
    bool feature_dropout;
    const char *site;                        /* of its draws */
    const struct mega_sublayer_names *names; /* NULL: norm_pre, norm_branch, norm_post */
};

struct mega_sublayer {
    unsigned sites; /* of norms; see sublayer.c */
    struct mega_norm pre, branch, post;
    struct mega_dropout drop;
};

void mega_sublayer_build(
    mega_build *b, struct mega_sublayer *s, const struct mega_sublayer_options *options);

/* What the branch gets, from the stream x [B, T, D]. */
mega_tensor *mega_sublayer_read(mega_run *r, const struct mega_sublayer *s, mega_tensor *x);

/* The stream after the branch gave y. */
mega_tensor *mega_sublayer_write(mega_run *r, const struct mega_sublayer *s, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows);

/* All of a sublayer whose branch is an mlp. */
mega_tensor *mega_sublayer_mlp(mega_run *r, const struct mega_sublayer *s,
    const struct mega_mlp *f, mega_tensor *x, const struct mega_rows *rows);

#endif
