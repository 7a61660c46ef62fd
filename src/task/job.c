#include "task/job.h"

#include <stddef.h>

void mega_job_close(struct mega_job *j)
{
    if (j) j->type->close(j);
}

mega_status mega_job_load(struct mega_job *j, enum mega_split split)
{
    return j->type->load(j, split);
}

struct mega_split_facts mega_job_facts(const struct mega_job *j, enum mega_split split)
{
    return j->type->facts(j, split);
}

mega_status mega_job_config(
    const struct mega_job *j, const mega_model *m, struct mega_text *out)
{
    return j->type->config(j, m, out);
}

mega_status mega_job_save(const struct mega_job *j, const char *folder)
{
    return j->type->save ? j->type->save(j, folder) : MEGA_OK;
}

mega_status mega_job_batches(struct mega_job *j, enum mega_split split,
    const struct mega_feed_batching *how, int64_t epoch, struct mega_batches **out)
{
    return j->type->batches(j, split, how, epoch, out);
}

void mega_batches_free(struct mega_batches *b)
{
    if (b) b->type->free(b);
}

mega_status mega_job_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log)
{
    *out = NULL;
    return mega_tasks[options->name]->open(out, options, model, log);
}
