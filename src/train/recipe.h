/* A recipe: one YAML file that names a task, a model and an optimiser, and is everything a run
 * needs. */
#ifndef MEGA_TRAIN_RECIPE_H
#define MEGA_TRAIN_RECIPE_H

#include "model/model.h"
#include "optim/adam.h"
#include "optim/schedule.h"
#include "task/task.h"
#include "train/head_options.h"

enum mega_average { MEGA_AVERAGE_ROWS, MEGA_AVERAGE_TOKENS, MEGA_AVERAGE_AUTO };
enum mega_metric { MEGA_METRIC_ACCURACY, MEGA_METRIC_LOSS, MEGA_METRIC_AUTO };

/* The recipe's section `train`. */
struct mega_train_options {
    int64_t batch, tokens,
        accumulate; /* rows in a pass; token budget of a pass, 0: none; passes in an update */
    bool bucket;
    int average; /* enum mega_average: what an update is divided by; auto is gone when the
                    recipe has been read */
    int64_t epochs, validate_every, valid_batch, save_every, keep, patience, log_every;
    int metric; /* enum mega_metric */
    double label_smoothing;
    double time_limit; /* hours; 0: none */
    int precision;     /* enum mega_precision; auto is gone when the recipe has been read */
    int64_t
        memory; /* MiB that the process may take (model.recompute: auto); 0: what there is */
};

struct mega_recipe {
    struct mega_document document; /* what the texts below point into */
    int64_t seed;
    struct mega_task_options task;
    struct mega_model_config model; /* its task part is filled by the task */
    struct mega_schedule schedule;
    struct mega_adam adam;
    struct mega_train_options train;
    struct mega_head_training_options heads;
};

/* One table of a section: sections `optim` and `model` have several. */
struct mega_recipe_table {
    const char *section; /* "": the top level */
    const struct mega_option *options;
};
extern const struct mega_recipe_table
    mega_recipe_tables[]; /* ended by a NULL section; printed by mega help recipe */

/* Reads and checks a recipe; `set` holds "optim.lr=1e-3" and the like, applied on top. */
mega_status mega_recipe_load(
    struct mega_recipe *r, const char *path, const struct mega_texts *set);
void mega_recipe_done(struct mega_recipe *r);

/* The recipe with every key, as YAML that reads back as the same recipe. */
void mega_recipe_print(const struct mega_recipe *r, struct mega_text *to);

#endif
