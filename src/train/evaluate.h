/* Evaluation: one pass over a split, sums over rows. */
#ifndef MEGA_TRAIN_EVALUATE_H
#define MEGA_TRAIN_EVALUATE_H

#include "task/classify.h"

/* Sums, never means of batches: the result does not depend on how rows fell into batches. */
struct mega_tally {
    int64_t rows, correct;
    double loss; /* summed, nats */
    int64_t classes;
    int64_t *confusion; /* [classes, classes]: true class, predicted class; yours to free */
};

/* Runs the split through the model, `rows` texts and (if not 0) `tokens` places a pass at most;
 * MEGA_STOPPED as soon as a signal has come (if `poll`). */
mega_status mega_evaluate(mega_run *r, const mega_model *m, struct mega_classify *task,
    enum mega_split split, int64_t rows, int64_t tokens, bool poll, struct mega_tally *out);

double mega_tally_accuracy(const struct mega_tally *t); /* 0 ... 1; NaN without rows */
double mega_tally_loss(const struct mega_tally *t);     /* nats a row */

#endif
