#include "megac/predictor.h"

#include <math.h>
#include <stdlib.h>

#include "task/classify.h"
#include "train/run_folder.h"

struct mega_predictor {
    mega_model *model;
    mega_run *run;
    struct mega_classify *task;
    struct mega_host_batch batch;
    float *logit;
    double *probability;
};

static mega_status open_all(mega_predictor *p, mega_context *c, const char *folder)
{
    char path[1280];
    MEGA_TRY(mega_run_folder_model(folder, path));
    MEGA_TRY(mega_model_load(&p->model, path));
    MEGA_TRY(mega_run_new(&p->run, c));
    MEGA_TRY(mega_classify_open_model(&p->task, p->model, NULL));
    size_t classes = (size_t)p->model->config.task.classes;
    p->logit = calloc(classes, sizeof *p->logit);
    p->probability = calloc(classes, sizeof *p->probability);
    return p->logit && p->probability ? MEGA_OK
                                      : mega_fail(MEGA_NO_MEMORY, "no memory for a predictor");
}

mega_status mega_predictor_open(mega_predictor **out, mega_context *c, const char *folder)
{
    *out = NULL;
    mega_predictor *p = calloc(1, sizeof *p);
    if (!p) return mega_fail(MEGA_NO_MEMORY, "no memory for a predictor");
    mega_status status = open_all(p, c, folder);
    if (status)
        mega_predictor_close(p);
    else
        *out = p;
    return status;
}

void mega_predictor_close(mega_predictor *p)
{
    if (!p) return;
    mega_host_batch_done(&p->batch);
    mega_job_close(mega_classify_job(p->task));
    mega_run_free(p->run);
    mega_model_free(p->model);
    free(p->logit);
    free(p->probability);
    free(p);
}

/* the one row of the test split, as a batch */
static mega_status make_batch(mega_predictor *p, struct mega_batch *b)
{
    struct mega_plan plan = { 0 };
    struct mega_batching batching = { .rows = 1,
        .accumulate = 1,
        .multiple = mega_classify_multiple(p->task),
        .longest = mega_classify_longest(p->task) };
    const struct mega_examples *e = mega_classify_examples(p->task, MEGA_SPLIT_TEST);
    MEGA_TRY(mega_plan_make(&plan, &batching, e, 0));
    mega_status status =
        mega_host_batch_fill(&p->batch, &plan, e, 0, mega_classify_pad(p->task));
    mega_plan_done(&plan);
    mega_batch_view_rows(b, &p->batch);
    return status;
}

static mega_status forward(mega_predictor *p, const struct mega_batch *b)
{
    MEGA_TRY(mega_run_begin(p->run, &(struct mega_run_args){ 0 }));
    mega_tensor *logits = mega_classify_logits(p->run, p->model, b);
    if (!mega_run_status(p->run)) mega_run_read(p->run, logits, p->logit);
    return mega_run_end(p->run);
}

mega_status mega_predictor_ask(
    mega_predictor *p, const char *text, size_t size, struct mega_prediction *out)
{
    struct mega_batch b;
    MEGA_TRY(mega_classify_take_text(p->task, text, size));
    MEGA_TRY(make_batch(p, &b));
    MEGA_TRY(forward(p, &b));
    int classes = mega_predictor_classes(p), best = 0;
    double sum = 0;
    for (int j = 1; j < classes; j++)
        if (p->logit[j] > p->logit[best]) best = j;
    for (int j = 0; j < classes; j++)
        sum += p->probability[j] = exp((double)(p->logit[j] - p->logit[best]));
    for (int j = 0; j < classes; j++) p->probability[j] /= sum;
    *out = (struct mega_prediction){ best, mega_predictor_label(p, best), p->probability };
    return MEGA_OK;
}

int mega_predictor_classes(const mega_predictor *p)
{
    return (int)p->model->config.task.classes;
}

const char *mega_predictor_label(const mega_predictor *p, int class_index)
{
    const struct mega_texts *labels = mega_classify_labels(p->task);
    return class_index >= 0 && class_index < labels->n ? labels->item[class_index] : NULL;
}
