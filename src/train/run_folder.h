/* A run folder: everything that one training run keeps.
 *
 *   recipe.yaml       as given                     step-000750/   a model folder plus state/
 *   recipe.full.yaml  as resolved                  latest, best   links, switched by rename
 * after fsync manifest.json     versions, machine, hashes    log.jsonl      one JSON object a
 * line events.out.tfevents.*  for TensorBoard
 *
 * A checkpoint appears under its name only when it is whole. */
#ifndef MEGA_TRAIN_RUN_FOLDER_H
#define MEGA_TRAIN_RUN_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct mega_run_folder {
    char path[1024];
};

/* Whether a run has begun in this folder: --resume auto goes on there, else begins afresh. */
bool mega_run_folder_begun(const char *path);

/* Opens a folder for a fresh run: it must be absent or empty or, with `again`, hold no more
 * than a run that was killed before it had begun. */
mega_status mega_run_folder_create(struct mega_run_folder *f, const char *path, bool again);

/* Opens the folder of an earlier run; refuses what is none. */
mega_status mega_run_folder_open(struct mega_run_folder *f, const char *path);

/* "<folder>/<name>" into `out`; returns it. */
char *mega_run_folder_path(
    const struct mega_run_folder *f, char out[1280], const char *format, ...) MEGA_PRINTF(3, 4);

/* Numbers of the whole checkpoints there are, rising; yours to free. */
mega_status mega_run_folder_steps(const struct mega_run_folder *f, int64_t **steps, int *n);

/* The step that `link` ("latest", "best") points at, or -1. */
int64_t mega_run_folder_link(const struct mega_run_folder *f, const char *link);
mega_status mega_run_folder_point(
    const struct mega_run_folder *f, const char *link, int64_t step);

/* Deletes all but the newest `keep` checkpoints and what the links point at; 0 keeps all.
 * Remains of broken writes go too. */
mega_status mega_run_folder_retain(const struct mega_run_folder *f, int64_t keep);

/* A model folder: `path` itself if it holds config.json, else the run's best or latest
 * checkpoint, into `out`. */
mega_status mega_run_folder_model(const char *path, char out[1280]);

#endif
