/* What the loss becomes while heads go, by importance and, to compare, by chance. */
#ifndef MEGA_STUDY_HEAD_REMOVAL_H
#define MEGA_STUDY_HEAD_REMOVAL_H

#include "study/head_pruning.h"

struct mega_head_removal {
    struct mega_head_step *step, *random; /* from the whole model on */
    int64_t steps, randoms;
    struct mega_head_table until; /* the last step in which a head is there */
};

/* Closes all heads of `gated` in some `steps` steps, by gradient, judged anew before each; then
 * the same by chance. Gates are open again at the end. */
mega_status mega_study_removal(const struct mega_study_data *d, const mega_model *m,
    mega_model *gated, int64_t steps, int32_t end, struct mega_head_removal *out);
void mega_head_removal_free(struct mega_head_removal *r);

#endif
