/* Checkpoints: a model folder plus state/, whole or not at all. */
#ifndef MEGA_TRAIN_CHECKPOINT_H
#define MEGA_TRAIN_CHECKPOINT_H

#include "optim/span.h"
#include "task/job.h"
#include "train/progress.h"
#include "train/run_folder.h"

/* What a checkpoint holds beside the model. */
struct mega_training_state {
    struct mega_progress *progress;
    struct mega_span *span; /* one for each parameter, in the store's order */
    int n_spans;
    const struct mega_job *job; /* writes its own files beside the model's */
};

/* Writes step-<step>/ and makes it `latest`. `config` is the text of config.json. */
mega_status mega_checkpoint_save(const struct mega_run_folder *f, const mega_model *m,
    const char *config, const struct mega_training_state *state);

/* Reads model and state of step-<step>/ into a model laid out for training. */
mega_status mega_checkpoint_load(const struct mega_run_folder *f, int64_t step, mega_model *m,
    const struct mega_training_state *state);

/* Writes the model folder `path` alone: config.json and model.safetensors. */
mega_status mega_model_folder_save(const char *path, const mega_model *m, const char *config);

#endif
