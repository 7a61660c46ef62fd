#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "task/feed.h"
#include "train/stop.h"

/* the class of the largest logit, the first one among equals */
static int64_t predicted(const float *logit, int64_t classes)
{
    int64_t best = 0;
    for (int64_t j = 1; j < classes; j++)
        if (logit[j] > logit[best]) best = j;
    return best;
}

/* -log softmax(logit)[y] in double: sums over rows do not depend on the batches */
static double loss_of(const float *logit, int64_t classes, int64_t y)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < classes; j++) most = fmax(most, (double)logit[j]);
    for (int64_t j = 0; j < classes; j++) sum += exp((double)logit[j] - most);
    return most + log(sum) - (double)logit[y];
}

static void count(struct mega_tally *t, const float *logit, int64_t y)
{
    int64_t guess = predicted(logit, t->classes);
    t->rows++;
    t->correct += guess == y;
    t->loss += loss_of(logit, t->classes, y);
    t->confusion[y * t->classes + guess]++;
}

static mega_status run_pass(
    mega_run *r, const mega_model *m, const struct mega_batch *b, struct mega_tally *t)
{
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ 0 }));
    mega_tensor *logits;
    mega_classify_loss(r, m, b, &logits);
    float *values = mega_run_memory(r, (size_t)(b->n * t->classes) * sizeof *values);
    const int32_t *target = b->target.data;
    if (values && !mega_run_read(r, logits, values))
        for (int64_t i = 0; i < b->n; i++) count(t, values + i * t->classes, target[i]);
    return mega_run_end(r);
}

mega_status mega_evaluate(mega_run *r, const mega_model *m, struct mega_classify *task,
    enum mega_split split, int64_t rows, int64_t tokens, bool poll, struct mega_tally *out)
{
    int64_t classes = m->config.task.classes;
    *out = (struct mega_tally){ .classes = classes,
        .confusion = calloc((size_t)(classes * classes), sizeof(int64_t)) };
    if (!out->confusion)
        return mega_fail(
            MEGA_NO_MEMORY, "no memory for the confusion of %lld classes", (long long)classes);
    struct mega_feed *feed;
    MEGA_TRY(mega_feed_open(&feed, task, split, rows, tokens));
    mega_status status = MEGA_OK;
    for (struct mega_batch *b; !status;) {
        status = mega_feed_next(feed, &b);
        if (status || !b) break;
        if (poll && mega_stop_signal())
            status = mega_fail(MEGA_STOPPED, "stopped in validation");
        else
            status = run_pass(r, m, b, out);
    }
    mega_feed_close(feed);
    return status;
}

double mega_tally_accuracy(const struct mega_tally *t)
{
    return t->rows ? (double)t->correct / (double)t->rows : NAN;
}

double mega_tally_loss(const struct mega_tally *t)
{
    return t->rows ? t->loss / (double)t->rows : NAN;
}
