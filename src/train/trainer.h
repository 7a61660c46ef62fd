/* Training: the loop over updates, validation, checkpoints; everything that a resumed run needs
 * to go on exactly. */
#ifndef MEGA_TRAIN_TRAINER_H
#define MEGA_TRAIN_TRAINER_H

#include "graph/context.h"
#include "train/recipe.h"
#include "train/sinks.h"

struct mega_train_request {
    mega_context *context;
    const char *recipe;           /* a file; NULL with `resume`: the run's own */
    const struct mega_texts *set; /* changes on top */
    const char *run;              /* the run folder */
    bool resume; /* go on from the latest checkpoint if there is one, else start afresh */
    bool force;  /* resume although a change makes it inexact */
    int64_t stop_after; /* leave after this update as a signal would; 0: no */
    const char
        *program; /* how the user calls the program: for the line that says how to go on */
    struct mega_screen screen;
    struct mega_profile *profile; /* of the updates but the first, which warms up; or NULL */
};

/* Returns MEGA_OK at the planned end, MEGA_STOPPED after a signal or limit with everything
 * saved. */
mega_status mega_train(const struct mega_train_request *q);

#endif
