/* Training the gates of attention heads: the recipe's section `heads`.
 *
 * What open gates cost is added to the gradient once an update, whatever the number of passes,
 * and logged apart from the task's loss, which alone decides what is best:
 *
 *   loss + c(update) sum_layers sum_heads P(gate > 0) / n
 *
 * where n is the number of heads (by default), of layers (as the original code has it) or 1.
 * With a target c comes from two multipliers that rise with what is missing (Wang et al.,
 * 2020): c = -(l1 + 2 l2 (s - t)) for s the share of heads expected closed and t the wanted
 * one. */
#ifndef MEGA_TRAIN_HEAD_TRAINING_H
#define MEGA_TRAIN_HEAD_TRAINING_H

#include "base/log.h"
#include "model/heads.h"
#include "train/head_options.h"
#include "train/progress.h"
#include "train/sinks.h"
#include "train/update.h"

/* What a run keeps of it. */
struct mega_head_training {
    const struct mega_head_training_options *options;
    struct mega_model_heads heads; /* layers is 0 where no head has a gate */
    int64_t gates;                 /* concrete ones */
    bool finished;                 /* they have been rounded */
};

/* What an update's gates are like. */
struct mega_head_state {
    double penalty;               /* what was added to the loss */
    double expected;              /* heads that the noise leaves open, on average */
    int64_t closed, partial, all; /* of the gates of evaluation */
};

/* Checks the options against the model; begins with another one's parameters where they say so;
 * freezes what is not to train; gates have no weight decay and their own rate. */
mega_status mega_head_training_begin(struct mega_head_training *t,
    const struct mega_head_training_options *options, mega_model *m, struct mega_optimizer *o,
    const struct mega_log *log);
void mega_head_training_done(struct mega_head_training *t);

/* After the passes of update number `step` (from 0): adds the penalty's gradient. */
mega_status mega_head_training_penalise(struct mega_head_training *t, mega_run *r,
    struct mega_progress *p, struct mega_head_state *state);

/* After update `step` (from 1): rounds and freezes the gates when it is time; true then. */
bool mega_head_training_finish(
    struct mega_head_training *t, mega_model *m, struct mega_optimizer *o, int64_t step);

/* An update's gates, for the log and for the screen ("", without gates). */
void mega_head_training_record(const struct mega_head_training *t,
    const struct mega_head_state *state, struct mega_record *to);
void mega_head_training_line(
    const struct mega_head_training *t, const struct mega_head_state *state, char out[64]);

/* "gates": [[1, 0.3], ...] for log.jsonl: those of evaluation, a list a layer, by the original
 * numbers of the heads that are left. */
void mega_head_training_print(const struct mega_head_training *t, struct mega_text *to);

#endif
