/* A job: a task with its data, opened for a model. Training, evaluation and dry runs know tasks
 * as jobs and nothing more.
 *
 * A kind of job is a table of functions; its struct begins with struct mega_job. */
#ifndef MEGA_TASK_JOB_H
#define MEGA_TASK_JOB_H

#include "task/batch.h"
#include "task/task.h"

/* How batches are made: the recipe's section `train`. */
struct mega_feed_batching {
    uint64_t seed;
    int64_t rows, tokens, accumulate;
    bool bucket, shuffle; /* shuffle: training; else the order of the file */
};

/* What a job tells of a split. */
struct mega_split_facts {
    int64_t units;
    const char *unit; /* what is counted: "rows", "tokens" */
    uint64_t hash;
};

/* The batches of an epoch, or of a split that is read once. */
struct mega_batches {
    const struct mega_batches_type *type;
    int64_t n; /* batches */
};

struct mega_batches_type {
    /* batch number k, on the host; buffers of `h` are kept and grow */
    mega_status (*fill)(struct mega_batches *b, int64_t k, struct mega_host *h);
    /* rows and tokens of batch number k, added to what is there */
    void (*count)(const struct mega_batches *b, int64_t k, int64_t *rows, int64_t *tokens);
    /* rows and places of the largest one */
    void (*largest)(const struct mega_batches *b, int64_t *rows, int64_t *places);
    void (*free)(struct mega_batches *b);
};

struct mega_job {
    const struct mega_job_type *type;
};

struct mega_job_type {
    void (*close)(struct mega_job *j);
    /* reads a split, unless it is there */
    mega_status (*load)(struct mega_job *j, enum mega_split split);
    struct mega_split_facts (*facts)(const struct mega_job *j, enum mega_split split);
    mega_status (*batches)(struct mega_job *j, enum mega_split split,
        const struct mega_feed_batching *how, int64_t epoch, struct mega_batches **out);
    /* config.json of a model of this job */
    mega_status (*config)(const struct mega_job *j, const mega_model *m, struct mega_text *out);
    /* what else belongs into a model's folder; NULL: nothing */
    mega_status (*save)(const struct mega_job *j, const char *folder);
};

/* A job as a recipe describes it: reads the training data, splits off the validation rows if no
 * file holds them, and fills what the task knows of `model`; texts stay borrowed from the job.
 */
mega_status mega_job_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log);
void mega_job_close(struct mega_job *j);

mega_status mega_job_load(struct mega_job *j, enum mega_split split);
struct mega_split_facts mega_job_facts(const struct mega_job *j, enum mega_split split);
mega_status mega_job_config(
    const struct mega_job *j, const mega_model *m, struct mega_text *out);
mega_status mega_job_save(const struct mega_job *j, const char *folder);
mega_status mega_job_batches(struct mega_job *j, enum mega_split split,
    const struct mega_feed_batching *how, int64_t epoch, struct mega_batches **out);
void mega_batches_free(struct mega_batches *b);

#endif
