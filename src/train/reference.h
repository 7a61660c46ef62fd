/* Reference outputs stored with a model: what it answered where it was made, to be computed
 * again anywhere.
 *
 * reference.safetensors: id [n, T] I32, len [n] I32, logits [n, classes] F32; a second text of
 * pairs as id1, len1. */
#ifndef MEGA_TRAIN_REFERENCE_H
#define MEGA_TRAIN_REFERENCE_H

#include "task/classify.h"

/* Writes <folder>/reference.safetensors from a few pseudo-random texts, the same for every
 * model of the same inputs. */
mega_status mega_reference_store(mega_run *r, const mega_model *m, const char *folder);

/* The same from the texts of a batch. */
mega_status mega_reference_store_texts(
    mega_run *r, const mega_model *m, const char *folder, const struct mega_batch *texts);

struct mega_reference {
    int64_t rows;
    double worst; /* largest difference of a logit, relative to the largest logit */
};

/* Computes the stored outputs again: those of <folder>/reference.safetensors or, if `file` is
 * not NULL, of this one. A folder without them is refused with the command that stores them. */
mega_status mega_reference_compare(mega_run *r, const mega_model *m, const char *folder,
    const char *file, struct mega_reference *out);

#endif
