/* Importance of heads over data: gradients are derivatives of the loss; relevance is conserved,
 * its rows sum to 1, closed heads have none. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "study/head_pruning.h"
#include "study/head_relevance.h"
#include "task/lm.h"

#include "cmocka_all.h"

static const char config[] =
    "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "
    "\"transformer\", \"layers\": 2, \"width\": 12, \"ffn\": 10, \"heads\": 4, \"kv_heads\": "
    "2, "
    "\"longest\": 32, \"rotary_dims\": 2, \"norm\": \"%s\", \"gated\": %s, \"activation\": "
    "\"silu\", \"kept_heads\": \"%s\" }, \"inputs\": { \"vocabulary\": 256, \"pad\": -1 }, "
    "\"task\": { \"name\": \"lm\", \"tokenizer\": \"bytes\", \"end_of_document\": \"none\", "
    "\"start\": \"none\", \"rows\": \"none\", \"length\": 12, \"cache\": \"none\" } }";

static const char masked[] =
    "{ \"megac\": 1, \"architecture\": \"masked_language_model\", \"model\": { \"layers\": 2, "
    "\"width\": 12, \"ffn\": 10, \"heads\": 4, \"longest\": 32, \"positions\": \"learned\", "
    "\"type_emb\": 2, \"post_emb_norm\": true, \"placement\": \"%s\", \"activation\": "
    "\"gelu\", "
    "\"attention_bias\": true, \"kept_heads\": \"%s\" %s }, \"inputs\": { \"vocabulary\": 257, "
    "\"pad\": 0 }, \"task\": { \"name\": \"masked_lm\", \"tokenizer\": \"bytes\", "
    "\"end_of_document\": \"none\", \"rows\": \"none\", \"length\": 12, \"mask_share\": 0.3, "
    "\"cache\": \"none\" } }";

struct setup {
    mega_context *context;
    mega_model *model, *gated;
    mega_run *run;
    struct mega_job *job;
    struct mega_task_options files;
    const char *file;
    struct mega_study_data data;
};

static const char path[] = "importance_test.txt";

static void open_json(struct setup *s, const char *json)
{
    struct mega_model_config c;
    struct mega_document d;
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    assert_int_equal(mega_json_parse(&d, "config.json", json, strlen(json)), MEGA_OK);
    if (mega_model_config_parse(&c, &d) || mega_model_new(&s->model, &c, true, false))
        fail_msg("%s", mega_message());
    s->model->document = d;
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (int64_t i = 0; i < s->model->store.count; i++)
        s->model->store.value[i] = 0.5f * (float)mega_rng_normal(&g);
    static const char text[] = "Max was a cat. Lily had a big red ball, and Max ran.";
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
    assert_int_equal(
        mega_task_options_read(&s->files, &d, mega_node_find(d.root, "task")), MEGA_OK);
    s->file = path;
    s->files.language.corpus.test = (struct mega_texts){ &s->file, 1 };
    s->files.language.corpus.evaluate = MEGA_EVALUATE_ROWS;
    if (mega_language_open_model(&s->job, s->model, ".", &s->files, NULL) ||
        mega_job_load(s->job, MEGA_SPLIT_TEST) || mega_study_gated(&s->gated, s->model))
        fail_msg("%s", mega_message());
    s->data = (struct mega_study_data){ s->run, s->job, MEGA_SPLIT_TEST, 0 };
}

static void open_kind(struct setup *s, const char *norm, const char *gated, const char *kept)
{
    char json[1200];
    snprintf(json, sizeof json, config, norm, gated, kept);
    open_json(s, json);
}

static void open_masked(
    struct setup *s, const char *placement, const char *kept, const char *more)
{
    char json[1200];
    snprintf(json, sizeof json, masked, placement, kept, more);
    open_json(s, json);
}

static void done(struct setup *s)
{
    mega_job_close(s->job);
    mega_model_free(s->gated);
    mega_model_free(s->model);
    mega_run_free(s->run);
    mega_context_free(s->context);
    unlink(path);
}

static double loss_at(struct setup *s, int64_t l, int64_t h, double xi)
{
    double loss;
    mega_study_set_gate(s->gated, l, h, xi);
    assert_int_equal(mega_study_loss(&s->data, s->gated, &loss), MEGA_OK);
    mega_study_set_gate(s->gated, l, h, 1);
    return loss;
}

/* heads "all; 0 2 3" */
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

static void gradients_are_derivatives_of_the_loss(void **state)
{
    (void)state;
    struct setup s;
    open_kind(&s, "layernorm", "false", "all; 0 2 3");
    check_gradients(&s);
    done(&s);
    open_masked(&s, "post", "all; 0 2 3", "");
    check_gradients(&s);
    done(&s);
}

/* [layers][heads] of one place of a text of 10 bytes, and what came to the embeddings */
static void relevance(struct setup *s, const mega_model *m, double *share, double *input)
{
    int32_t id[] = { 77, 97, 120, 32, 119, 97, 115, 32, 97, 32 };
    struct mega_study_reading reading;
    struct mega_model_heads h;
    struct mega_head_table t;
    double steps[2] = { 0 };
    struct mega_relevance_rule rule = { false, 1e-5 };
    struct mega_batch b = { .n = 1, .tokens = 10 };
    b.rows[0] = (struct mega_rows){ .B = 1, .T = 10 };
    b.text[0] = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ 1, 10 });
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    assert_int_equal(mega_head_table_new(&t, &h), MEGA_OK);
    assert_int_equal(mega_study_reading_new(&reading, m), MEGA_OK);
    if (mega_study_reading_run(&reading, s->run, &b)) fail_msg("%s", mega_message());
    assert_int_equal(
        mega_study_relevance_at(&reading, &rule, 6, 32, &t, steps, input), MEGA_OK);
    for (int i = 0; i < 8; i++) share[i] = t.value[i];
    assert_true(steps[0] > 0 && steps[1] > 0);
    mega_study_reading_free(&reading);
    mega_head_table_free(&t);
    mega_model_heads_done(&h);
}

static void relevance_is_conserved(void **state)
{
    (void)state;
    static const char *const kinds[][2] = { { "layernorm", "false" }, { "rmsnorm", "true" } };
    for (int k = 0; k < 2; k++) {
        struct setup s;
        double share[8], input[10], total = 0;
        open_kind(&s, kinds[k][0], kinds[k][1], "");
        relevance(&s, s.model, share, input);
        for (int i = 0; i < 10; i++) total += input[i];
        /* a leak of about e a row and sublayer */
        if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * 10 * 6)) fail_msg("in all %.6f", total);
        for (int i = 7; i < 10; i++) assert_true(input[i] <= 0 && input[i] >= 0);
        for (int l = 0; l < 2; l++) {
            double sum = 0;
            for (int h = 0; h < 4; h++) sum += share[4 * l + h];
            if (!(fabs(sum - 1) <= 1e-6)) fail_msg("layer %d sums to %.9f", l, sum);
        }
        /* closed heads have none, at all places and texts */
        struct mega_head_table all;
        mega_study_set_gate(s.gated, 0, 1, 0);
        if (mega_study_relevance(&s.data, s.gated, k == 1, &all))
            fail_msg("%s", mega_message());
        double closed = *mega_head_at(&all, 0, 1),
               most = k ? 1e-5 : 0; /* zplus moves inputs by e */
        if (!(closed >= 0 && closed <= most)) fail_msg("a closed head has %g", closed);
        assert_true(*mega_head_at(&all, 0, 0) > 1e-3);
        mega_head_table_free(&all);
        done(&s);
    }
}

/* gates of groups and of blocks of channels, a feed-forward without any of them */
static void relevance_knows_other_units(void **state)
{
    (void)state;
    struct setup s;
    double share[8], input[10], total = 0;
    open_kind(&s, "layernorm",
        "true, \"group_gates\": \"concrete\", \"channel_gates\": \"concrete\", "
        "\"head_gates\": \"concrete\", \"channel_block\": 5, \"kept_channels\": \"0 1; -\"",
        "");
    relevance(&s, s.model, share, input);
    for (int i = 0; i < 10; i++) total += input[i];
    if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * 10 * 6)) fail_msg("in all %.6f", total);
    for (int l = 0; l < 2; l++) {
        double sum = share[4 * l] + share[4 * l + 1] + share[4 * l + 2] + share[4 * l + 3];
        if (!(fabs(sum - 1) <= 1e-6)) fail_msg("layer %d sums to %.9f", l, sum);
    }
    done(&s);
}

static void like_heads_have_like_shares(void **state)
{
    (void)state;
    struct setup s;
    double share[8];
    open_kind(&s, "layernorm", "false", "");
    struct mega_model_heads h;
    assert_int_equal(mega_model_heads_find(&h, s.model), MEGA_OK);
    for (int l = 0; l < 2; l++) {
        const struct mega_attention *a = h.layer[l].attention;
        mega_tensor_zero(a->q);
        for (int64_t r = 0; r < mega_height(a->v); r++)
            for (int64_t j = 0; j < mega_width(a->v); j++)
                mega_put(a->v, r, j, mega_get(a->v, r % 3, j));
        for (int64_t r = 0; r < mega_height(a->o); r++)
            for (int64_t j = 0; j < mega_width(a->o); j++)
                mega_put(a->o, r, j, mega_get(a->o, r, j % 3));
    }
    mega_model_heads_done(&h);
    relevance(&s, s.model, share, NULL);
    for (int i = 0; i < 8; i++)
        if (!(fabs(share[i] - 0.25) <= 1e-6)) fail_msg("a share of %.7f", share[i]);
    done(&s);
}

/* ---- classifiers ---- */

static const char classifier[] =
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { %s \"layers\": 2, "
    "\"width\": 6, \"ffn\": 5, \"heads\": 2, \"longest\": 16, "
    "\"attention_bias\": true, \"head_layers\": 1, \"head_width\": 4, "
    "\"positions\": \"%s\", \"pooling\": \"%s\" }, \"inputs\": { \"vocabulary\": 7, "
    "\"towers\": %d }, \"labels\": [\"a\", \"b\", \"c\"] }";

#define PRENORM(value) "\"mixer\": \"attention\", \"prenorm\": " value ","

enum { PLACES = 4 };

static mega_model *classify(
    const char *encoder, const char *positions, const char *pooling, int towers)
{
    char json[800];
    struct mega_model_config c;
    struct mega_document d;
    mega_model *m = NULL;
    snprintf(json, sizeof json, classifier, encoder, positions, pooling, towers);
    assert_int_equal(mega_json_parse(&d, "config.json", json, strlen(json)), MEGA_OK);
    if (mega_model_config_parse(&c, &d) || mega_model_new(&m, &c, true, false))
        fail_msg("%s", mega_message());
    m->document = d;
    for (struct mega_param *p = m->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] =
                (float)(0.6 * sin(1.3 * (double)i + 0.7 * (double)strlen(p->name)));
    return m;
}

/* shares [2][2] of the likeliest class, which is returned, and what came to the places; so many
 * layers have heads */
static int64_t relevance_of_class_at(
    mega_run *r, const mega_model *m, bool zplus, double *share, double *input, int layers)
{
    int32_t id[2][PLACES] = { { 2, 5, 1, 3 }, { 4, 4, 0, 6 } };
    struct mega_study_reading reading;
    struct mega_model_heads h;
    struct mega_head_table t;
    struct mega_relevance_rule rule = mega_relevance_rule_of(zplus);
    struct mega_batch b = { .n = 1, .tokens = PLACES };
    double steps[2] = { 0 };
    for (int k = 0; k < 2; k++) {
        b.rows[k] = (struct mega_rows){ .B = 1, .T = PLACES };
        b.text[k] = mega_tensor_over(id[k], MEGA_I32, 2, (int64_t[]){ 1, PLACES });
    }
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    assert_int_equal(mega_head_table_new(&t, &h), MEGA_OK);
    assert_int_equal(mega_study_reading_new(&reading, m), MEGA_OK);
    if (mega_study_reading_run(&reading, r, &b)) fail_msg("%s", mega_message());
    assert_int_equal(reading.predictions, 1);
    int64_t class = mega_study_predicted(&reading, 0);
    assert_int_equal(
        mega_study_relevance_at(&reading, &rule, 0, class, &t, steps, input), MEGA_OK);
    for (int i = 0; i < 4; i++) share[i] = t.value[i];
    assert_true(steps[0] > 0 && steps[0] < 2 && (steps[1] > 0) == (layers == 2));
    mega_study_reading_free(&reading);
    mega_head_table_free(&t);
    mega_model_heads_done(&h);
    return class;
}

static int64_t relevance_of_class(
    mega_run *r, const mega_model *m, bool zplus, double *share, double *input)
{
    return relevance_of_class_at(r, m, zplus, share, input, 2);
}

/* worked out apart from this code: every layer's Jacobian by complex steps */
static void relevance_of_a_class_has_the_golden_values(void **state)
{
    (void)state;
    static const struct {
        const char *pooling;
        double share[4], input[PLACES];
    } golden[] = {
        { "mean", { 0.514049437, 0.485950563, 0.508114164, 0.491885836 },
            { 0.168240479, 0.260827352, 0.272260709, 0.298581451 } },
        { "first", { 0.532934747, 0.467065253, 0.507323786, 0.492676214 },
            { 0.327248248, 0.217041933, 0.220354772, 0.235285040 } },
    };
    mega_context *context;
    mega_run *r;
    assert_int_equal(mega_context_new(&context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, context), MEGA_OK);
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
        double share[4], input[PLACES];
        mega_model *m = classify(PRENORM("true"), "none", golden[k].pooling, 1);
        assert_int_equal(relevance_of_class(r, m, false, share, input), 0);
        for (int i = 0; i < 4; i++)
            if (!(fabs(share[i] - golden[k].share[i]) <= 2e-6))
                fail_msg("%s: a share of %.9f, expected %.9f", golden[k].pooling, share[i],
                    golden[k].share[i]);
        for (int i = 0; i < PLACES; i++)
            if (!(fabs(input[i] - golden[k].input[i]) <= 5e-6))
                fail_msg("%s: place %d got %.9f, expected %.9f", golden[k].pooling, i, input[i],
                    golden[k].input[i]);
        mega_model_free(m);
    }
    mega_run_free(r);
    mega_context_free(context);
}

/* the bias of the projection goes to heads that are open, so that it is as without the others
 */
static void a_closed_head_of_a_class_has_nothing(void **state)
{
    (void)state;
    mega_context *context;
    mega_run *r;
    double share[4], input[PLACES], without[4], left[PLACES], total = 0;
    mega_model *m = classify(PRENORM("true"), "none", "mean", 1), *gated, *cut;
    struct mega_model_heads_change change = { .kept = "1; -", .fold = true };
    assert_int_equal(mega_context_new(&context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, context), MEGA_OK);
    assert_int_equal(mega_study_gated(&gated, m), MEGA_OK);
    mega_study_set_gate(gated, 0, 0, 0);
    mega_study_set_gate(gated, 1, 0, 0);
    mega_study_set_gate(gated, 1, 1, 0);
    relevance_of_class_at(r, gated, false, share, input, 1);
    assert_true(share[0] <= 0 && share[2] <= 0 && share[3] <= 0);
    if (!(fabs(share[1] - 1) <= 1e-9)) fail_msg("the open head has %.9f", share[1]);
    if (mega_model_heads_change(&cut, m, &change)) fail_msg("%s", mega_message());
    relevance_of_class_at(r, cut, false, without, left, 1);
    assert_true(isnan(without[0]) && isnan(without[3]));
    for (int i = 0; i < PLACES; i++) {
        if (!(fabs(input[i] - left[i]) <= 1e-6))
            fail_msg("place %d: %.7f with a closed head, %.7f without", i, input[i], left[i]);
        total += input[i];
    }
    if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * PLACES * 6)) fail_msg("in all %.6f", total);
    mega_model_free(cut);
    mega_model_free(gated);
    mega_model_free(m);
    mega_run_free(r);
    mega_context_free(context);
}

/* an encoder with all its options, pooled by a learned place before the text */
static void relevance_of_a_class_token_is_conserved(void **state)
{
    (void)state;
    static const char *const pooling[] = { "class", "mean", "first" };
    mega_context *context;
    mega_run *r;
    assert_int_equal(mega_context_new(&context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, context), MEGA_OK);
    for (int k = 0; k < 3; k++) {
        double share[4], input[PLACES + 1] = { 0 }, total = 0;
        char more[200];
        snprintf(more, sizeof more,
            "\"encoder\": \"transformer\", \"placement\": \"%s\", \"kv_heads\": 1,",
            k == 1 ? "post" : "pre");
        mega_model *m = classify(more, "learned", pooling[k], 1);
        relevance_of_class(r, m, false, share, input);
        for (int i = 0; i <= PLACES; i++) total += input[i];
        if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * (PLACES + 1) * 6))
            fail_msg("%s: in all %.6f", pooling[k], total);
        assert_true(k ? input[PLACES] <= 0 : input[PLACES] > 0);
        mega_model_free(m);
    }
    mega_run_free(r);
    mega_context_free(context);
}

static void relevance_of_classes_is_conserved(void **state)
{
    (void)state;
    mega_context *context;
    mega_run *r;
    assert_int_equal(mega_context_new(&context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, context), MEGA_OK);
    for (int k = 0; k < 16; k++) {
        int towers = 1 + k / 4 % 2;
        double share[4], input[2 * PLACES], total = 0;
        mega_model *m = classify(k % 2 ? PRENORM("true") : PRENORM("false"),
            k / 2 % 2 ? "sinusoidal" : "learned", k / 8 ? "first" : "mean", towers);
        relevance_of_class(r, m, k % 4 == 3, share, input);
        for (int i = 0; i < towers * PLACES; i++) total += input[i];
        if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * 2 * PLACES * 6))
            fail_msg("kind %d: in all %.6f", k, total);
        for (int l = 0; l < 2; l++)
            if (!(fabs(share[2 * l] + share[2 * l + 1] - 1) <= 1e-6))
                fail_msg(
                    "kind %d: layer %d sums to %.9f", k, l, share[2 * l] + share[2 * l + 1]);
        /* the texts of a pair share */
        if (towers == 2) assert_true(input[0] > 0 && input[PLACES] > 0 && input[PLACES] < 1);
        mega_model_free(m);
    }
    mega_run_free(r);
    mega_context_free(context);
}

/* ---- masked models ---- */

enum { FIRST = 4, HIDDEN = 9 }; /* places of a text of ten that are hidden */

/* shares [layers, heads] of what is told at the second hidden place, and what came to the ten
 * places of the text */
static void relevance_of_mask(
    mega_run *r, const mega_model *m, bool zplus, double *share, double *input)
{
    int32_t id[] = { 77, 97, 120, 32, 256, 97, 115, 32, 97, 256 },
            target[] = { -1, -1, -1, -1, 119, -1, -1, -1, -1, 32 };
    struct mega_study_reading reading;
    struct mega_model_heads h;
    struct mega_head_table t;
    double steps[2] = { 0 };
    struct mega_relevance_rule rule = mega_relevance_rule_of(zplus);
    struct mega_batch b = { .n = 1, .tokens = 2 };
    b.rows[0] = (struct mega_rows){ .B = 1, .T = 10 };
    b.text[0] = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ 1, 10 });
    b.target = mega_tensor_over(target, MEGA_I32, 1, (int64_t[]){ 10 });
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    assert_int_equal(mega_head_table_new(&t, &h), MEGA_OK);
    assert_int_equal(mega_study_reading_new(&reading, m), MEGA_OK);
    if (mega_study_reading_run(&reading, r, &b)) fail_msg("%s", mega_message());
    assert_int_equal(reading.predictions, 2);
    assert_int_equal(mega_study_place(&reading, 0), FIRST);
    assert_int_equal(mega_study_place(&reading, 1), HIDDEN);
    assert_int_equal(mega_study_relevance_at(&reading, &rule, 1,
                         mega_study_predicted(&reading, 1), &t, steps, input),
        MEGA_OK);
    for (int i = 0; i < 8; i++) share[i] = t.value[i];
    mega_study_reading_free(&reading);
    mega_head_table_free(&t);
    mega_model_heads_done(&h);
}

static void relevance_of_a_masked_token_is_conserved(void **state)
{
    (void)state;
    static const char *const placement[] = { "post", "pre" };
    for (int k = 0; k < 4; k++) {
        struct setup s;
        double share[8], input[10], total = 0;
        open_masked(&s, placement[k % 2], "", "");
        relevance_of_mask(s.run, s.model, k / 2, share, input);
        for (int i = 0; i < 10; i++) {
            total += input[i];
            assert_true(input[i] > 0);
        }
        if (!(total <= 1 + 1e-9 && total >= 1 - 2e-5 * 10 * 6)) fail_msg("in all %.6f", total);
        for (int l = 0; l < 2; l++) {
            double sum = 0;
            for (int h = 0; h < 4; h++) sum += share[4 * l + h];
            if (!(fabs(sum - 1) <= 1e-6)) fail_msg("layer %d sums to %.9f", l, sum);
        }
        /* the mean over all hidden tokens of the texts */
        struct mega_head_table all;
        if (mega_study_relevance(&s.data, s.model, k / 2, &all)) fail_msg("%s", mega_message());
        for (int l = 0; l < 2; l++) {
            double sum = 0;
            for (int h = 0; h < 4; h++) sum += *mega_head_at(&all, l, h);
            if (!(fabs(sum - 1) <= 1e-6)) fail_msg("layer %d sums to %.9f", l, sum);
        }
        mega_head_table_free(&all);
        done(&s);
    }
}

/* without heads nothing moves between places: a hidden one is made of itself alone */
static void a_masked_model_without_heads_looks_at_its_place(void **state)
{
    (void)state;
    struct setup s;
    double share[8], input[10];
    open_masked(&s, "post", "-; -", "");
    relevance_of_mask(s.run, s.model, false, share, input);
    for (int i = 0; i < 10; i++)
        if (!(fabs(input[i] - (i == HIDDEN)) <= 2e-5 * 8))
            fail_msg("place %d has %.7f", i, input[i]);
    done(&s);
}

static void a_closed_head_of_a_masked_model_has_nothing(void **state)
{
    (void)state;
    struct setup s;
    mega_model *cut;
    double share[8], input[10], without[8], left[10];
    struct mega_model_heads_change change = { .kept = "0 2 3; 1", .fold = true };
    open_masked(&s, "post", "", "");
    mega_study_set_gate(s.gated, 0, 1, 0);
    for (int h = 0; h < 4; h++) mega_study_set_gate(s.gated, 1, h, h == 1);
    relevance_of_mask(s.run, s.gated, false, share, input);
    assert_true(share[1] <= 0 && share[4] <= 0 && share[6] <= 0 && share[7] <= 0);
    if (!(fabs(share[5] - 1) <= 1e-9)) fail_msg("the open head has %.9f", share[5]);
    if (mega_model_heads_change(&cut, s.model, &change)) fail_msg("%s", mega_message());
    relevance_of_mask(s.run, cut, false, without, left);
    assert_true(isnan(without[1]) && isnan(without[4]));
    for (int i = 0; i < 10; i++)
        if (!(fabs(input[i] - left[i]) <= 1e-6))
            fail_msg("place %d: %.7f with closed heads, %.7f without", i, input[i], left[i]);
    mega_model_free(cut);
    done(&s);
}

static void heads_go_until_as_many_are_left(void **state)
{
    (void)state;
    struct setup s;
    struct mega_head_table kept;
    struct mega_head_step *steps;
    int64_t n;
    open_kind(&s, "layernorm", "false", "all; 0 2 3");
    struct mega_head_pruning how = {
        .method = MEGA_HEADS_ABLATION, .keep = 3, .at_a_time = 2, .never_empty = true, .end = -1
    };
    if (mega_study_prune(&s.data, s.model, s.gated, &how, &kept, &steps, &n, NULL, NULL))
        fail_msg("%s", mega_message());
    assert_int_equal(n, 3);
    assert_int_equal(steps[0].heads, 7);
    assert_int_equal(steps[1].heads, 5);
    assert_int_equal(steps[2].heads, 3);
    int open[2] = { 0 };
    for (int i = 0; i < 8; i++) open[i / 4] += !isnan(kept.value[i]) && kept.value[i] > 0;
    assert_int_equal(open[0] + open[1], 3);
    assert_true(open[0] && open[1]);
    assert_true(isnan(*mega_head_at(&kept, 1, 1)));
    free(steps);
    mega_head_table_free(&kept);
    /* a limit that is passed at once takes the step back */
    how.most = 1e-12;
    how.never_empty = false;
    how.method = MEGA_HEADS_RANDOM;
    how.at_a_time = 7;
    how.keep = 0;
    for (int64_t l = 0; l < 2; l++)
        for (int64_t h = 0; h < 4; h++) mega_study_set_gate(s.gated, l, h, 1);
    assert_int_equal(
        mega_study_prune(&s.data, s.model, s.gated, &how, &kept, &steps, &n, NULL, NULL),
        MEGA_OK);
    if (n == 1) assert_int_equal(steps[0].heads, 7);
    free(steps);
    mega_head_table_free(&kept);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_derivatives_of_the_loss),
        cmocka_unit_test(relevance_is_conserved),
        cmocka_unit_test(relevance_knows_other_units),
        cmocka_unit_test(like_heads_have_like_shares),
        cmocka_unit_test(relevance_of_a_class_has_the_golden_values),
        cmocka_unit_test(a_closed_head_of_a_class_has_nothing),
        cmocka_unit_test(relevance_of_a_class_token_is_conserved),
        cmocka_unit_test(relevance_of_classes_is_conserved),
        cmocka_unit_test(relevance_of_a_masked_token_is_conserved),
        cmocka_unit_test(a_masked_model_without_heads_looks_at_its_place),
        cmocka_unit_test(a_closed_head_of_a_masked_model_has_nothing),
        cmocka_unit_test(heads_go_until_as_many_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
