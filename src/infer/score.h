/* Scores: the logarithm of the probability that a model gives each token of a text.
 *
 * The first id is only looked at (a token that begins texts, where the model has one); every
 * other one is scored exactly once, after as many ids before it as the way of scoring lets the
 * model see:
 *
 *   carry    all of them: the state goes on from piece to piece
 *   windows  those of its window: every `window` ids the model starts afresh
 *   slide    at least window - stride of them (as far as there are so many): windows of
 *            `window` ids begin every `stride` ids, and each scores what the one before did not
 *
 * Logarithms are natural; sums go in double from the first token to the last. */
#ifndef MEGA_INFER_SCORE_H
#define MEGA_INFER_SCORE_H

#include "infer/stepper.h"

enum mega_score_way { MEGA_SCORE_CARRY, MEGA_SCORE_WINDOWS, MEGA_SCORE_SLIDE };
#define MEGA_SCORE_WAYS "carry|windows|slide"

struct mega_score_options {
    enum mega_score_way way;
    int64_t window, stride; /* ids that the model sees at a time */
};

/* Gets each token with its place among the ids (1 ... n-1), in order; ends the work by
 * returning a failure. */
typedef mega_status mega_score_fn(void *arg, int64_t place, int32_t id, double log_probability);

struct mega_score_total {
    int64_t tokens; /* scored */
    double sum;     /* of the logarithms of their probabilities */
};

/* The whole text through one row: of a stepper whose room is at least `window` (or, for carry,
 * n - 1). `take` may be NULL. Refuses windows that cannot be, ids that are none, and text
 * beyond the model's context. */
mega_status mega_score_text(struct mega_model_stepper *s, const int32_t *id, int64_t n,
    const struct mega_score_options *o, mega_score_fn *take, void *arg,
    struct mega_score_total *total);

double mega_score_perplexity(const struct mega_score_total *t); /* 1 for an empty text */

/* Bits for each of n bytes or characters; 0 for none. */
double mega_score_bits(const struct mega_score_total *t, int64_t n);

#endif
