/* The memory that a run takes at most, known before it runs: from dry passes, which lay
 * everything out and compute nothing. */
#ifndef MEGA_TRAIN_MEMORY_H
#define MEGA_TRAIN_MEMORY_H

#include "graph/context.h"
#include "task/classify.h"
#include "train/recipe.h"

/* All in bytes. */
struct mega_memory {
    int64_t rows[2], places[2]; /* of the largest pass: training, validation */
    int64_t effort;             /* what is made again: see mega_stack_set_effort */
    size_t process;             /* program, libraries and data, as they are now */
    size_t weights;             /* with gradients and moments */
    size_t pass[2]; /* values and gradients of those passes; they share their place */
    size_t scratch; /* of kernels, about; with what waits for the next passes */
    size_t total;
};

/* What a run of this recipe takes, with what the model is set to recompute. The
 * training and validation splits must have been read. */
mega_status mega_memory_predict(struct mega_memory *out, mega_context *c, mega_model *m,
    struct mega_job *task, const struct mega_recipe *r);

/* model.recompute: auto: sets the model to the least effort with which the run stays within
 * train.memory, or what the machine has to give. Refused if none is enough. */
mega_status mega_memory_choose(struct mega_memory *out, mega_context *c, mega_model *m,
    struct mega_job *task, const struct mega_recipe *r);

/* "2 of 4 blocks are recomputed" */
void mega_memory_print_effort(const struct mega_memory *m, int64_t layers, char out[80]);

#endif
