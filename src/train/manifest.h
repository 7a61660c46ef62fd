/* The manifest of a run: what it was made with, and the hashes by which a resumed run knows its
 * data again. */
#ifndef MEGA_TRAIN_MANIFEST_H
#define MEGA_TRAIN_MANIFEST_H

#include "graph/context.h"
#include "task/job.h"
#include "train/recipe.h"
#include "train/run_folder.h"

/* Writes manifest.json; `resumes` is a text of JSON objects about changes that a resume was
 * allowed, or "": they follow those that the file lists already. */
mega_status mega_manifest_write(const struct mega_run_folder *f, const mega_context *c,
    const struct mega_recipe *r, const struct mega_job *task, const char *resumes);

/* Refuses (or, forced, tells through `say`) data whose hash is not the one in the manifest. */
mega_status mega_manifest_check(const struct mega_run_folder *f, const struct mega_job *task,
    bool force, void (*say)(void *arg, const char *line), void *arg);

#endif
