/* The recipe's section `heads`: how gates of heads and of other units train
 * (head_training.h). */
#ifndef MEGA_TRAIN_HEAD_OPTIONS_H
#define MEGA_TRAIN_HEAD_OPTIONS_H

#include "base/option.h"

enum mega_head_average {
    MEGA_HEADS_BY_HEAD,
    MEGA_HEADS_BY_LAYER,
    MEGA_HEADS_SUM,
    MEGA_HEADS_BY_COST
};

struct mega_head_training_options {
    double penalty, l2;
    int average; /* enum mega_head_average */
    int64_t begin, warmup;
    double target, target_rate;
    int64_t target_warmup;
    int64_t finish, keep;
    double rate; /* of the gates' learning rate */
    const char *from;
    struct mega_texts train, open;
};
extern const struct mega_option mega_head_training_table[];

#endif
