/* Dropout at a named place. */
#ifndef MEGA_LAYER_DROPOUT_H
#define MEGA_LAYER_DROPOUT_H

#include "graph/run.h"
#include "op/contracts.h"

struct mega_dropout {
    const char *site; /* its name below the block: keys the draws */
    double p;
    enum mega_dropout_kind kind;
};

/* x itself outside training or where p is 0. */
mega_tensor *mega_dropout_run(
    mega_run *r, const struct mega_dropout *d, mega_tensor *x, const struct mega_rows *rows);

/* True if it changes anything in this run. */
bool mega_dropout_active(const mega_run *r, const struct mega_dropout *d);

#endif
