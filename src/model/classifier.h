/* A classifier of one text or of a pair (Mega section 8.1): encoder, pooling, head. The encoder
 * is the one of Long Range Arena with a mixer, or a Transformer with all its variants. */
#ifndef MEGA_MODEL_CLASSIFIER_H
#define MEGA_MODEL_CLASSIFIER_H

#include "model/encoder.h"
#include "model/transformer.h"
#include "op/contracts.h"

/* The rest of the recipe's section `model`. */
struct mega_head_options {
    int pooling, act; /* enum mega_pool_kind or MEGA_POOL_CLASS, enum mega_act */
    int64_t layers, width;
};
enum { MEGA_POOL_CLASS = MEGA_POOL_FIRST + 1 }; /* what a class token came to */
extern const struct mega_option mega_head_options[];

/* Which encoder it is. */
enum mega_encoder_kind { MEGA_ENCODER_MIXER, MEGA_ENCODER_TRANSFORMER };

/* What an encoder is made of: the options of the one that it is. */
struct mega_classifier_encoder {
    int kind; /* enum mega_encoder_kind */
    const struct mega_encoder_options *encoder;
    const void *mixer; /* the mixer's own */
    const struct mega_transformer_options *transformer;
};

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
    enum mega_encoder_kind kind;
    struct mega_encoder encoder; /* one of these */
    struct mega_transformer transformer;
    mega_tensor *weight[MEGA_HEAD_MOST], *bias[MEGA_HEAD_MOST]; /* hidden layers of the head */
    mega_tensor *out;                                           /* [classes, width] */
    struct mega_dropout drop[MEGA_HEAD_MOST];
};

void mega_classifier_build(mega_build *b, struct mega_classifier *m,
    const struct mega_classifier_encoder *encoder, const struct mega_head_options *head,
    const struct mega_classifier_task *task);

struct mega_stack *mega_classifier_stack(struct mega_classifier *m);

/* text[i], rows[i]: one for each tower (the second is NULL with one) -> logits [B, classes]. */
mega_tensor *mega_classifier_run(mega_run *r, const struct mega_classifier *m,
    mega_tensor *const text[2], const struct mega_rows *const rows[2]);

#endif
