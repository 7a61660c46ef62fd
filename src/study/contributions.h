/* What a text's predictions are made of (Voita, Sennrich and Titov, 2021). */
#ifndef MEGA_STUDY_CONTRIBUTIONS_H
#define MEGA_STUDY_CONTRIBUTIONS_H

#include "task/batch.h"

/* The relevance that the likeliest token, or class, of each prediction has for each place. A
 * row sums to 1, less what small numbers lose on their way. */
struct mega_contributions {
    int64_t predictions, places; /* places of both texts of a pair */
    double *share;               /* [predictions, places] */
    int64_t *predicted;          /* [predictions] */
};
mega_status mega_study_contributions(struct mega_contributions *c, mega_run *r,
    const mega_model *m, bool zplus, struct mega_batch *b);
void mega_contributions_free(struct mega_contributions *c);

#endif
