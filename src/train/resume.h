/* Resuming with a recipe that is not the one the run began with: what is obeyed, and what is
 * refused. */
#ifndef MEGA_TRAIN_RESUME_H
#define MEGA_TRAIN_RESUME_H

#include "base/text.h"

/* Compares the texts of two full recipes key by key. A change of a key that the run can take up
 * (rate, intervals, ...) is told through `say` and appended to `changes` as JSON ({"key": ...,
 * "was": ..., "now": ...}); any other one is refused with key, old and new value, unless
 * forced. A change of the model is always refused. */
mega_status mega_resume_compare(const char *old_name, const struct mega_text *old,
    const struct mega_text *fresh, bool force, void (*say)(void *arg, const char *line),
    void *arg, struct mega_text *changes);

#endif
