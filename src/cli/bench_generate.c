#include "cli/bench_generate.h"

#include <stdlib.h>

#include "base/fail.h"

enum { PIECE = 512 }; /* places of a row that are read in one pass */

/* ---- the model as functions ---- */

static mega_tensor *features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_language_model_features(r, model, ids, rows);
}

static mega_tensor *logits(mega_run *r, const void *model, mega_tensor *x)
{
    return mega_language_model_logits(r, model, x);
}

mega_status mega_bench_generator_init(struct mega_bench_generator *g, const mega_model *m,
    mega_run *run, int64_t B, int64_t places)
{
    *g = (struct mega_bench_generator){ .model = { .model = &m->language,
                                            .store = &m->store,
                                            .features = features,
                                            .logits = logits,
                                            .vocabulary = m->language.vocabulary.size,
                                            .longest = m->language.shape.longest } };
    MEGA_TRY(mega_model_stepper_init(&g->stepper, &g->model, run, B, PIECE, places));
    g->last = calloc((size_t)B, sizeof *g->last);
    return g->last ? MEGA_OK
                   : mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows", (long long)B);
}

void mega_bench_generator_done(struct mega_bench_generator *g)
{
    mega_model_stepper_done(&g->stepper);
    free(g->last);
    *g = (struct mega_bench_generator){ 0 };
}

/* ---- feeding ---- */

static int32_t likeliest(const float *logit, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logit[i] > logit[best]) best = i;
    return (int32_t)best;
}

/* T tokens of each row, the first at ids[b * stride]; then `last` is what follows them */
static mega_status feed(
    struct mega_bench_generator *g, const int32_t *ids, int64_t stride, int64_t T)
{
    struct mega_stepper s = mega_model_stepper_of(&g->stepper);
    const int32_t **row = calloc((size_t)s.rows, sizeof *row);
    const float **logit = calloc((size_t)s.rows, sizeof *logit);
    int32_t *len = calloc((size_t)s.rows, sizeof *len);
    mega_status status = row && logit && len ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory");
    for (int64_t b = 0; b < s.rows && !status; b++) {
        row[b] = ids + b * stride;
        len[b] = (int32_t)T;
    }
    if (!status) status = s.feed(s.self, row, T, len, logit);
    for (int64_t b = 0; b < s.rows && !status; b++)
        g->last[b] = likeliest(logit[b], s.vocabulary);
    free(row);
    free(logit);
    free(len);
    return status;
}

mega_status mega_bench_generator_read(
    struct mega_bench_generator *g, const int32_t *ids, int64_t T)
{
    for (int64_t t = 0; t < T; t += PIECE)
        MEGA_TRY(feed(g, ids + t, T, T - t < PIECE ? T - t : PIECE));
    return MEGA_OK;
}

void mega_bench_generator_copy(
    struct mega_bench_generator *to, const struct mega_bench_generator *from)
{
    int64_t rows = mega_stream_rows(to->stepper.stream);
    for (int64_t b = 0; b < rows; b++) {
        mega_stream_copy_row(to->stepper.stream, b, from->stepper.stream, b);
        to->last[b] = from->last[b];
    }
}

mega_status mega_bench_generator_make(struct mega_bench_generator *g, int64_t n)
{
    for (int64_t i = 0; i < n; i++) MEGA_TRY(feed(g, g->last, 1, 1));
    return MEGA_OK;
}
