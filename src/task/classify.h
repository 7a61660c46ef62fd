/* Classification of texts: what the tasks of today share. It reads the splits, knows the
 * labels, and turns a batch into a loss. */
#ifndef MEGA_TASK_CLASSIFY_H
#define MEGA_TASK_CLASSIFY_H

#include "task/job.h"

struct mega_classify;

/* The job of a recipe (mega_job_open); its struct is a struct mega_classify. */
mega_status mega_classify_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log);

/* A task as a model folder describes it, to evaluate and predict; `options` adds files (texts
 * borrowed), NULL: none. */
mega_status mega_classify_open_model(
    struct mega_classify **out, const mega_model *m, const struct mega_task_options *files);

/* Reads a split, unless it is there. */
mega_status mega_classify_load(struct mega_classify *c, enum mega_split split);

/* As a job; NULL stays NULL. */
struct mega_job *mega_classify_job(struct mega_classify *c);

/* Reads rows from bytes of a file called `name` into a split in place of what was there;
 * without `labels` every class is -1. */
mega_status mega_classify_take(struct mega_classify *c, enum mega_split split, const char *name,
    const void *bytes, size_t n, bool labels);

/* One text, as the only row of the test split: whatever bytes it holds, tabs and newlines
 * included. */
mega_status mega_classify_take_text(struct mega_classify *c, const char *text, size_t n);

const struct mega_examples *mega_classify_examples(
    const struct mega_classify *c, enum mega_split split);
const struct mega_task_options *mega_classify_options(const struct mega_classify *c);
const struct mega_texts *mega_classify_labels(const struct mega_classify *c);
int64_t mega_classify_multiple(const struct mega_classify *c);
int64_t mega_classify_longest(
    const struct mega_classify *c); /* places that a row may be padded to; 0: any */
int32_t mega_classify_pad(const struct mega_classify *c);

/* The logits [B, classes]. */
mega_tensor *mega_classify_logits(mega_run *r, const mega_model *m, const struct mega_batch *b);

#endif
