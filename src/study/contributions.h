/* What a text's predictions are made of (Voita, Sennrich and Titov, 2021). */
#ifndef MEGA_STUDY_CONTRIBUTIONS_H
#define MEGA_STUDY_CONTRIBUTIONS_H

#include "task/batch.h"

/* The relevance that each place has for the likeliest token, or class, of each prediction. A
 * row sums to 1, less what small numbers lose on their way. */
struct mega_contributions {
    int64_t predictions, places; /* places of both texts of a pair */
    double *share;               /* [predictions, places] */
    int64_t *predicted;          /* [predictions] */
    int64_t *at;                 /* [predictions] hidden places of a masked model; else NULL */
};
mega_status mega_study_contributions(struct mega_contributions *c, mega_run *r,
    const mega_model *m, bool zplus, struct mega_batch *b);
/* , "hidden": [2, 7]: where a masked model's predictions are; nothing of other models. */
void mega_contributions_print_places(const struct mega_contributions *c, struct mega_text *to);
void mega_contributions_free(struct mega_contributions *c);

#endif
