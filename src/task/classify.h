/* Classification of texts: what the tasks of today share. It reads the splits, knows the
 * labels, and turns a batch into a loss. */
#ifndef MEGA_TASK_CLASSIFY_H
#define MEGA_TASK_CLASSIFY_H

#include "data/batches.h"
#include "task/task.h"

struct mega_classify;

/* A task as a recipe describes it: reads the training data, splits off the validation rows if
 * no file holds them, and fills the task's part of `model` (classes, vocabulary, labels, which
 * stay borrowed from the task). */
mega_status mega_classify_open(struct mega_classify **out,
    const struct mega_task_options *options, struct mega_model_config *model);

/* A task as a model folder describes it, to evaluate and predict; `options` adds files (texts
 * borrowed), NULL: none. */
mega_status mega_classify_open_model(
    struct mega_classify **out, const mega_model *m, const struct mega_task_options *files);
void mega_classify_close(struct mega_classify *c);

/* config.json of a model of this task. */
mega_status mega_classify_config(
    const struct mega_classify *c, const mega_model *m, struct mega_text *out);

/* Reads a split, unless it is there. */
mega_status mega_classify_load(struct mega_classify *c, enum mega_split split);

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

/* One pass's worth of rows: views over host memory that someone else keeps. */
struct mega_batch {
    struct mega_rows rows[2];
    mega_tensor text[2], target; /* ids [B, T] I32; classes [B] I32 */
    int64_t n;                   /* rows */
    int64_t places;              /* B * T of all towers: what the pass computes */
    int64_t tokens;              /* without padding */
    const int64_t *index;        /* [B] row of the split */
};
void mega_batch_view(struct mega_batch *b, const struct mega_host_batch *host);

/* The loss summed over rows (NULL where a class is not known: then only the logits), and the
 * logits [B, classes]. */
mega_tensor *mega_classify_loss(
    mega_run *r, const mega_model *m, const struct mega_batch *b, mega_tensor **logits);

#endif
