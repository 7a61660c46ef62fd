/* Training the gates of attention heads and of other units (model/units.h): the recipe's
 * section `heads`.
 *
 * What open gates cost is added to the gradient once an update, whatever the number of passes,
 * and logged apart from the task's loss, which alone decides what is best:
 *
 *   loss + c(update) sum_layers sum_units P(gate > 0) w
 *
 * where w is one by the number of units (by default), of layers (as the original code has it),
 * 1, or the share that the unit has in the parameters of all units. With a target c comes from
 * two multipliers that rise with what is missing (Wang et al., 2020): c = -(l1 + 2 l2 (s - t))
 * for s the share of units, or of their parameters, expected closed and t the wanted one. */
#ifndef MEGA_TRAIN_HEAD_TRAINING_H
#define MEGA_TRAIN_HEAD_TRAINING_H

#include "base/log.h"
#include "model/heads.h"
#include "model/units.h"
#include "train/head_options.h"
#include "train/progress.h"
#include "train/sinks.h"
#include "train/update.h"

/* What a run keeps of it. */
struct mega_head_training {
    const struct mega_head_training_options *options;
    struct mega_model_heads heads; /* layers is 0 where there are none */
    struct mega_model_units units;
    int64_t gates, layers; /* concrete ones, and sets of them */
    double cost;           /* parameters of their units */
    bool finished;         /* they have been rounded */
};

struct mega_unit_count {
    double expected;              /* units that the noise leaves open, on average */
    int64_t closed, partial, all; /* of the gates of evaluation */
};

/* What an update's gates are like. */
struct mega_head_state {
    double penalty;                    /* what was added to the loss */
    double expected;                   /* of all kinds together */
    int64_t closed, partial, all;      /* likewise */
    double expected_cost, active_cost; /* the same as shares of the units' parameters */
    struct mega_unit_count kind[MEGA_UNIT_KINDS];
};

/* Checks the options against the model; begins with another one's parameters where they say so;
 * freezes what is not to train; gates have no weight decay and their own rate. */
mega_status mega_head_training_begin(struct mega_head_training *t,
    const struct mega_head_training_options *options, mega_model *m, struct mega_optimizer *o,
    const struct mega_log *log);
void mega_head_training_done(struct mega_head_training *t);

/* Before the passes of update number `step` (from 0): the weight of the L2 part. */
void mega_head_training_prepare(struct mega_head_training *t, const struct mega_progress *p);

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
 * numbers of the heads that are left; those of other units by their own names. */
void mega_head_training_print(const struct mega_head_training *t, struct mega_text *to);

#endif
