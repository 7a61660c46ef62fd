/* What is left of a branch without units: its bias, at every place. */
#ifndef MEGA_LAYER_CONSTANT_H
#define MEGA_LAYER_CONSTANT_H

#include "graph/run.h"

/* [B, T, D], like `like`: the bias [D] at each place; zero where it is NULL. */
mega_tensor *mega_constant_run(
    mega_run *r, mega_tensor *bias, mega_tensor *like, const struct mega_rows *rows);

#endif
