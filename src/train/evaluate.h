/* Evaluation: one pass over a split, sums over rows. */
#ifndef MEGA_TRAIN_EVALUATE_H
#define MEGA_TRAIN_EVALUATE_H

#include "task/job.h"

/* Sums, never means of batches: the result does not depend on how rows fell into batches. */
struct mega_tally {
    enum mega_architecture architecture;
    double loss;     /* summed, nats */
    int64_t rows;    /* texts; windows of a language model's text */
    int64_t tokens;  /* scored by a language model; hidden from a masked one */
    int64_t bytes;   /* of text that they stand for; 0: not known */
    int64_t correct; /* of a classifier, a masked language model */
    int64_t classes;
    int64_t *confusion; /* [classes, classes]: true class, predicted class */
};
void mega_tally_done(struct mega_tally *t);

/* Runs the split through the model, `rows` texts and (if not 0) `tokens` places a pass at most;
 * MEGA_STOPPED as soon as a signal has come (if `poll`). */
mega_status mega_evaluate(mega_run *r, const mega_model *m, struct mega_job *job,
    enum mega_split split, int64_t rows, int64_t tokens, bool poll, struct mega_tally *out);

double mega_tally_accuracy(const struct mega_tally *t); /* 0 ... 1; NaN without any */
double mega_tally_loss(const struct mega_tally *t);     /* nats a row, or a token */

/* Of a language model: e^loss; bits for a byte of text (NaN where bytes are not known). */
double mega_tally_perplexity(const struct mega_tally *t);
double mega_tally_bits(const struct mega_tally *t);

#endif
