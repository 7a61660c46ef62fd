/* A few texts through a model of any kind, whole or as a stream: what tests of removed heads
 * and of other units compare. */
#ifndef TEST_MODEL_TRIAL_H
#define TEST_MODEL_TRIAL_H

#include <math.h>

#include "base/rng.h"
#include "task/batch.h"

#include "cmocka_all.h"

enum { B = 2, T = 9, V = 11 };

struct trial {
    mega_context *context;
    mega_run *run;
    int32_t id[B * T], label[B], len[B];
};

static void open(struct trial *t)
{
    struct mega_rng g;
    assert_int_equal(mega_context_new(&t->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&t->run, t->context), MEGA_OK);
    mega_rng_start(&g, 5, 6);
    for (int i = 0; i < B * T; i++) t->id[i] = (int32_t)mega_rng_below(&g, V);
    t->label[0] = t->len[0] = 0;
    t->label[1] = 1;
    t->len[0] = T;
    t->len[1] = T - 2;
}

static void done(struct trial *t)
{
    mega_run_free(t->run);
    mega_context_free(t->context);
}

/* features, a masked model's states or class logits of n places; returns how many numbers they
 * are */
static int64_t run(
    struct trial *t, const mega_model *m, mega_stream *s, int64_t from, int64_t n, float *out)
{
    int32_t id[B * T];
    for (int64_t i = 0; i < B * n; i++) id[i] = t->id[i / n * T + from + i % n];
    struct mega_batch b = { .n = B };
    b.rows[0] = (struct mega_rows){ .B = B, .T = n, .len = s ? NULL : t->len };
    b.text[0] = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ B, n });
    mega_tensor *text[2], *x;
    const struct mega_rows *rows[2];
    mega_run_begin(t->run, &(struct mega_run_args){ .stream = s });
    mega_batch_enter(t->run, m, &b, text, rows);
    if (m->config.architecture == MEGA_LANGUAGE_MODEL)
        x = mega_language_model_features(t->run, &m->language, text[0], rows[0]);
    else if (m->config.architecture == MEGA_MASKED_MODEL)
        x = mega_masked_model_states(t->run, &m->masked, text[0], rows[0]);
    else
        x = mega_classifier_run(t->run, &m->classifier, text, rows);
    if (!x) fail_msg("%s", mega_message());
    mega_run_read(t->run, x, out);
    int64_t count = mega_count(x);
    assert_int_equal(mega_run_end(t->run), MEGA_OK);
    return count;
}

static double apart(const float *a, const float *b, int64_t n)
{
    double most = 0, largest = 1;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)a[i]));
    }
    return most / largest;
}

#endif
