/* What passes from sublayer to sublayer beside the stream itself, by its place in
 * mega_carry.more; NULL where a model has no such thing. All that gradients flow through
 * between blocks stands in the carry. */
#ifndef MEGA_LAYER_PASSED_H
#define MEGA_LAYER_PASSED_H

#include "graph/run.h"

enum {
    MEGA_PASSED_CONTEXT,      /* [B, S, Dc] that cross-attention reads */
    MEGA_PASSED_CONDITION,    /* [B, T, Dc] of adaptive norms */
    MEGA_PASSED_VALUES,       /* of the first attention, for those after it */
    MEGA_PASSED_CROSS_VALUES, /* of the first cross-attention */
    MEGA_PASSED_SCORES,       /* of the attention before */
    MEGA_PASSED_CROSS_SCORES, /* of the cross-attention before */
    MEGA_PASSED_BIAS,         /* the bias of scores that all layers share */
    MEGA_PASSED_SECOND,       /* the second stream of ResiDual */
    MEGA_PASSED_INPUT,        /* what every branch reads of the stack's input */
    MEGA_PASSED_PENALTY,      /* [B, T, 1] the z-loss of the attentions so far */
    MEGA_PASSED_DEEP,         /* [B, T, feed-forwards D]: factors of what these give */
    MEGA_PASSED_LIST,         /* from here on: earlier states of the stream, or streams */
    MEGA_PASSED_MOST = 200    /* in all */
};

#endif
