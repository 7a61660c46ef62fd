/* A step whose loss or gradient is not finite: named, recorded, repeatable. */
#ifndef MEGA_TRAIN_BAD_STEP_H
#define MEGA_TRAIN_BAD_STEP_H

#include "train/run_folder.h"
#include "train/update.h"

/* Runs the pass again with every result checked, writes bad-step-<step>/ (the model as it was,
 * the batch, seed and step) into the run folder, and returns MEGA_NOT_FINITE with a message
 * that names the first bad tensor and how to repeat the step. */
mega_status mega_bad_step_record(const struct mega_run_folder *f, mega_run *r,
    const mega_model *m, const char *config, struct mega_batch *b, struct mega_now now,
    double units, int64_t first_row, const char *what, double value);

/* Repeats the recorded pass with every result checked: MEGA_NOT_FINITE names the first bad
 * tensor; MEGA_OK and the summed loss if all is finite this time. */
mega_status mega_bad_step_replay(mega_context *c, const char *folder, double *loss);

#endif
