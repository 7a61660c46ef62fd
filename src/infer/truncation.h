/* Norms over time that forget the far past of a text that is read in, as Megalodon's authors
 * read long ones (Megalodon, section 7.4).
 *
 * A text is read two chunks of C places at a time. Behind each of these pairs, from place N C
 * on, its last N - 2 chunks are read once more by themselves, and the counts, means and
 * variances of all norms over time become those of that second reading; what attention and the
 * moving average remember stays. The authors have N = 8, and read every pair in four times the
 * time. Without it norms go by all that was read. Of tokens that are made one by one nothing is
 * forgotten. */
#ifndef MEGA_INFER_TRUNCATION_H
#define MEGA_INFER_TRUNCATION_H

#include "infer/stepper.h"

/* Refuses a model that has no such norms, or no chunks, and N below 3; N = 0: nothing is
 * forgotten. */
mega_status mega_truncation_set(struct mega_step_model *m, int64_t chunks);

/* Of the n ids of a text, of which `at` are read: how many come next, `most` at most. */
int64_t mega_truncation_piece(
    const struct mega_step_model *m, int64_t at, int64_t n, int64_t most);

/* Row b of s has read `at` of a text's n ids: forgets, where this is due. */
mega_status mega_truncation_forget(
    struct mega_model_stepper *s, int64_t row, const int32_t *id, int64_t at, int64_t n);

#endif
