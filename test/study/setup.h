/* A small model of seeded numbers with a text to be looked at, and what tests of importance
 * hold against each other. */
#ifndef TEST_STUDY_SETUP_H
#define TEST_STUDY_SETUP_H

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "model/from_json.h"
#include "study/head_pruning.h"
#include "study/head_relevance.h"
#include "task/lm.h"

#include "cmocka_all.h"

struct setup {
    mega_context *context;
    mega_model *model, *gated;
    mega_run *run;
    struct mega_job *job;
    struct mega_task_options files;
    const char *file;
    struct mega_study_data data;
};

/* `path`: where the text goes, a file of its own for each program */
static void open_json(struct setup *s, const char *json, const char *path)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    s->model = model_from_json(json, false);
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (int64_t i = 0; i < s->model->store.count; i++)
        s->model->store.value[i] = 0.5f * (float)mega_rng_normal(&g);
    static const char text[] = "Max was a cat. Lily had a big red ball, and Max ran.";
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
    assert_int_equal(mega_task_options_read(&s->files, &s->model->document,
                         mega_node_find(s->model->document.root, "task")),
        MEGA_OK);
    s->file = path;
    s->files.language.corpus.test = (struct mega_texts){ &s->file, 1 };
    s->files.language.corpus.evaluate = MEGA_EVALUATE_ROWS;
    if (mega_language_open_model(&s->job, s->model, ".", &s->files, NULL) ||
        mega_job_load(s->job, MEGA_SPLIT_TEST) || mega_study_gated(&s->gated, s->model))
        fail_msg("%s", mega_message());
    s->data = (struct mega_study_data){ s->run, s->job, MEGA_SPLIT_TEST, 0 };
}

static void done(struct setup *s)
{
    mega_job_close(s->job);
    mega_model_free(s->gated);
    mega_model_free(s->model);
    mega_run_free(s->run);
    mega_context_free(s->context);
    unlink(s->file);
}

static double loss_at(struct setup *s, int64_t l, int64_t h, double xi)
{
    double loss;
    mega_study_set_gate(s->gated, l, h, xi);
    assert_int_equal(mega_study_loss(&s->data, s->gated, &loss), MEGA_OK);
    mega_study_set_gate(s->gated, l, h, 1);
    return loss;
}

/* of a model with the heads "all; 0 2 3" */
static void check_gradients(struct setup *s)
{
    struct mega_head_table absolute, with_sign, ablation;
    if (mega_study_gradient(&s->data, s->gated, &absolute, &with_sign))
        fail_msg("%s", mega_message());
    double most = 0;
    for (int64_t i = 0; i < 8; i++)
        most = fmax(most, isnan(absolute.value[i]) ? 0 : absolute.value[i]);
    assert_true(most > 0.01);
    assert_true(isnan(*mega_head_at(&absolute, 1, 1)));
    assert_int_equal(mega_head_table_count(&absolute), 7);
    for (int64_t l = 0; l < 2; l++)
        for (int64_t h = 0; h < 4; h++) {
            if (isnan(*mega_head_at(&absolute, l, h))) continue;
            double step = 0.01, got = *mega_head_at(&with_sign, l, h),
                   want =
                       (loss_at(s, l, h, 1 + step) - loss_at(s, l, h, 1 - step)) / (2 * step);
            if (!(fabs(got - want) <= 1e-3 * most + 1e-4))
                fail_msg("layer %d head %d: %.7f, expected %.7f", (int)l, (int)h, got, want);
            assert_true(*mega_head_at(&absolute, l, h) >= fabs(got) - 1e-6);
        }
    assert_int_equal(mega_study_ablation(&s->data, s->gated, &ablation), MEGA_OK);
    double want = loss_at(s, 0, 2, 0) - loss_at(s, 0, 2, 1);
    assert_true(fabs(*mega_head_at(&ablation, 0, 2) - want) < 1e-9);
    mega_head_table_free(&absolute);
    mega_head_table_free(&with_sign);
    mega_head_table_free(&ablation);
}

#endif
