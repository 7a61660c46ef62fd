/* A classifier of one text or of a pair (Mega section 8.1): encoder, pooling, head. */
#ifndef MEGA_MODEL_CLASSIFIER_H
#define MEGA_MODEL_CLASSIFIER_H

#include "model/encoder.h"
#include "op/contracts.h"

/* The rest of the recipe's section `model`. */
struct mega_head_options {
    int pooling, act; /* enum mega_pool_kind, enum mega_act */
    int64_t layers, width;
};
extern const struct mega_option mega_head_options[];

/* What the task says. */
struct mega_classifier_task {
    struct mega_inputs inputs;
    int64_t classes;
    int64_t towers; /* 1; 2: pairs of texts through one encoder */
};

enum { MEGA_HEAD_MOST = 8 };

struct mega_classifier {
    struct mega_classifier_task task;
    struct mega_head_options head;
    struct mega_encoder encoder;
    mega_tensor *weight[MEGA_HEAD_MOST], *bias[MEGA_HEAD_MOST]; /* hidden layers of the head */
    mega_tensor *out;                                           /* [classes, width] */
    struct mega_dropout drop[MEGA_HEAD_MOST];
};

void mega_classifier_build(mega_build *b, struct mega_classifier *m,
    const struct mega_encoder_options *encoder, const void *mixer_options,
    const struct mega_head_options *head, const struct mega_classifier_task *task);

/* text[i], rows[i]: one for each tower (the second is NULL with one) -> logits [B, classes]. */
mega_tensor *mega_classifier_run(mega_run *r, const struct mega_classifier *m,
    mega_tensor *const text[2], const struct mega_rows *const rows[2]);

#endif
