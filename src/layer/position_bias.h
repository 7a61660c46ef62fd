/* Relative positions as numbers added to scores, one for each head and distance: T5's buckets
 * (1910.10683), ALiBi's slopes (2108.12409), a small network (2108.00154, 2111.09883). One
 * table a stack, lent to each of its attentions. Transformer-XL's (1901.02860) is made of
 * queries: the stack lends the sines of the distances. */
#ifndef MEGA_LAYER_POSITION_BIAS_H
#define MEGA_LAYER_POSITION_BIAS_H

#include "graph/run.h"
#include "layer/norm.h"

enum mega_rel_pos {
    MEGA_REL_POS_NONE,
    MEGA_REL_POS_T5,
    MEGA_REL_POS_DYNAMIC,
    MEGA_REL_POS_ALIBI,
    MEGA_REL_POS_XL,
    MEGA_REL_POS_FORGET, /* from here on each attention has its own */
    MEGA_REL_POS_COPE,
    MEGA_REL_POS_REL_PROJ,
    MEGA_REL_POS_FORGET_ROW
};
#define MEGA_REL_POS_CHOICES "none|t5|dynamic|alibi|xl|forget|cope|rel_proj|forget_row"

struct mega_position_bias_options {
    int kind;                      /* enum mega_rel_pos */
    int64_t buckets, max_distance; /* t5 */
    double scale;                  /* t5: of the learned numbers */
    int64_t alibi_heads;           /* the first so many; 0: all */
    bool alibi_asymmetric;         /* keys ahead have slopes of their own */
    bool alibi_learned;
    bool dynamic_log, dynamic_norm;
    int64_t dynamic_depth; /* hidden layers */
    int64_t cope_positions, proj_rank, proj_reach, row_keys;
};

struct mega_position_bias {
    struct mega_position_bias_options options;
    int64_t heads, width;
    bool causal;
    mega_tensor *table; /* t5: [buckets, H]; alibi that learns: [H, 1 or 2] */
    struct mega_dynamic_layer {
        mega_tensor *weight, *bias;
        struct mega_norm norm;
    } * layer; /* dynamic: [depth + 1] */
};

/* True if a stack whose attentions have these options needs a table. */
bool mega_position_bias_wanted(const struct mega_position_bias_options *options);

/* Declares "rel_bias.weight", "alibi.slopes" or "dpb.<i>.*" below the present prefix. `width`:
 * D of the model. */
void mega_position_bias_build(mega_build *b, struct mega_position_bias *p,
    const struct mega_position_bias_options *options, int64_t heads, int64_t width,
    bool causal);

/* [H, 2n-1] F32 with n = length: entry n-1+j-i of a head belongs to query i and key j; of xl
 * [n, D], row x the sines and cosines of distance x; not causal: [2n-1, D], those of distance
 * x-(n-1). NULL if there is none. */
mega_tensor *mega_position_bias_run(
    mega_run *r, const struct mega_position_bias *p, int64_t length);

#endif
