/* How far a run has come: the counters that, with the optimiser's moments, continue it exactly.
 */
#ifndef MEGA_TRAIN_PROGRESS_H
#define MEGA_TRAIN_PROGRESS_H

#include "optim/schedule.h"

struct mega_progress {
    int64_t step;      /* updates done */
    int64_t epoch;     /* from 0 */
    int64_t position;  /* updates done in this epoch */
    double best;       /* of the metric */
    int64_t best_step; /* -1: nothing validated yet */
    int64_t waited;    /* validations since the best one */
    int64_t due;       /* 1: the validation after `step` is still to be done */
    struct mega_plateau plateau;
    double head_l1, head_l2; /* multipliers of heads.target */
};

#endif
