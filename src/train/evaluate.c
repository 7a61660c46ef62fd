#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "infer/masked.h"
#include "task/classify.h"
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

static void count_classes(
    mega_run *r, const mega_model *m, const struct mega_batch *b, struct mega_tally *t)
{
    mega_tensor *logits = mega_classify_logits(r, m, b);
    float *values = mega_run_memory(r, (size_t)(b->n * t->classes) * sizeof *values);
    const int32_t *target = b->target.data;
    if (values && !mega_run_read(r, logits, values))
        for (int64_t i = 0; i < b->n; i++) count(t, values + i * t->classes, target[i]);
}

static void count_tokens(
    mega_run *r, const mega_model *m, const struct mega_batch *b, struct mega_tally *t)
{
    mega_tensor *text[2], *each;
    const struct mega_rows *rows[2];
    int64_t n = mega_count(&b->target);
    mega_batch_enter(r, m, b, text, rows);
    mega_tensor *x = mega_language_model_features(r, &m->language, text[0], rows[0]);
    mega_language_model_loss(
        r, &m->language, x, mega_run_input(r, &b->target), rows[0], 0, &each);
    float *values = mega_run_memory(r, (size_t)n * sizeof *values);
    if (values && !mega_run_read(r, each, values))
        for (int64_t i = 0; i < n; i++) t->loss += (double)values[i];
    t->rows += b->n;
    t->tokens += b->tokens;
    t->bytes += b->bytes;
}

/* the tally, and the tokens that were hidden */
struct hidden {
    struct mega_tally *tally;
    const int32_t *target;
};

static void count_hidden(void *arg, int64_t place, const float *logits, int64_t V)
{
    const struct hidden *h = arg;
    h->tally->tokens++;
    h->tally->correct += predicted(logits, V) == h->target[place];
    h->tally->loss += loss_of(logits, V, h->target[place]);
}

static mega_status count_masked(
    mega_run *r, const mega_model *m, const struct mega_batch *b, struct mega_tally *t)
{
    struct hidden h = { t, b->target.data };
    t->rows += b->n;
    return mega_masked_logits(r, m, &b->text[0], &b->rows[0], b->target.data, count_hidden, &h);
}

/* One evaluation on its way. */
struct evaluation {
    mega_run *run;
    const mega_model *model;
    mega_stream *stream; /* of texts that come in steps; NULL: whole rows */
    struct mega_tally *tally;
};

/* texts that go on in the next batch need a stream, from their first step on */
static mega_status follow(struct evaluation *e, const struct mega_batch *b)
{
    if (!b->begins) return MEGA_OK;
    mega_stream_free(e->stream);
    e->stream = NULL;
    if (!b->goes_on) return MEGA_OK;
    return mega_stream_new(
        &e->stream, &e->model->store, b->n, b->rows[0].T, e->model->language.shape.longest);
}

static mega_status run_pass(struct evaluation *e, const struct mega_batch *b)
{
    mega_run *r = e->run;
    if (e->tally->architecture == MEGA_MASKED_MODEL)
        return count_masked(r, e->model, b, e->tally);
    MEGA_TRY(follow(e, b));
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ .stream = e->stream }));
    bool language = e->tally->architecture == MEGA_LANGUAGE_MODEL;
    (language ? count_tokens : count_classes)(r, e->model, b, e->tally);
    return mega_run_end(r);
}

static mega_status begin(struct mega_tally *t, const mega_model *m)
{
    *t = (struct mega_tally){ .architecture = m->config.architecture };
    if (t->architecture != MEGA_CLASSIFIER) return MEGA_OK;
    t->classes = m->config.task.classes;
    t->confusion = calloc((size_t)(t->classes * t->classes), sizeof *t->confusion);
    return t->confusion
               ? MEGA_OK
               : mega_fail(MEGA_NO_MEMORY, "no memory for the confusion of %lld classes",
                     (long long)t->classes);
}

mega_status mega_evaluate(mega_run *r, const mega_model *m, struct mega_job *job,
    enum mega_split split, int64_t rows, int64_t tokens, bool poll, struct mega_tally *out)
{
    struct mega_feed *feed;
    struct evaluation e = { .run = r, .model = m, .tally = out };
    MEGA_TRY(begin(out, m));
    MEGA_TRY(mega_feed_open(&feed, job, split, rows, tokens));
    mega_status status = MEGA_OK;
    for (struct mega_batch *b; !status;) {
        status = mega_feed_next(feed, &b);
        if (status || !b) break;
        if (poll && mega_stop_signal())
            status = mega_fail(MEGA_STOPPED, "stopped in validation");
        else
            status = run_pass(&e, b);
    }
    mega_stream_free(e.stream);
    mega_feed_close(feed);
    return status;
}

void mega_tally_done(struct mega_tally *t)
{
    free(t->confusion);
    t->confusion = NULL;
}

double mega_tally_accuracy(const struct mega_tally *t)
{
    int64_t units = t->architecture == MEGA_CLASSIFIER ? t->rows : t->tokens;
    return units ? (double)t->correct / (double)units : NAN;
}

double mega_tally_loss(const struct mega_tally *t)
{
    int64_t units = t->architecture == MEGA_CLASSIFIER ? t->rows : t->tokens;
    return units ? t->loss / (double)units : NAN;
}

double mega_tally_perplexity(const struct mega_tally *t)
{
    return exp(mega_tally_loss(t));
}

double mega_tally_bits(const struct mega_tally *t)
{
    return t->bytes ? t->loss / log(2) / (double)t->bytes : NAN;
}
