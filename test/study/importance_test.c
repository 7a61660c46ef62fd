/* Importance of heads over data: gradients are derivatives of the loss; relevance is conserved,
 * its rows sum to 1, closed heads have none. */
#include <stdio.h>
#include <stdlib.h>

#include "study/setup.h"

static const char config[] =
    "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "
    "\"transformer\", \"layers\": 2, \"width\": 12, \"ffn\": 10, \"heads\": 4, \"kv_heads\": "
    "2, "
    "\"longest\": 32, \"rotary_dims\": 2, \"norm\": \"%s\", \"gated\": %s, \"activation\": "
    "\"silu\", \"kept_heads\": \"%s\" }, \"inputs\": { \"vocabulary\": 256, \"pad\": -1 }, "
    "\"task\": { \"name\": \"lm\", \"tokenizer\": \"bytes\", \"end_of_document\": \"none\", "
    "\"start\": \"none\", \"rows\": \"none\", \"length\": 12, \"cache\": \"none\" } }";

static void open_kind(struct setup *s, const char *norm, const char *gated, const char *kept)
{
    char json[1200];
    snprintf(json, sizeof json, config, norm, gated, kept);
    open_json(s, json, "importance_test.txt");
}

static void gradients_are_derivatives_of_the_loss(void **state)
{
    (void)state;
    struct setup s;
    open_kind(&s, "layernorm", "false", "all; 0 2 3");
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
    snprintf(json, sizeof json, classifier, encoder, positions, pooling, towers);
    mega_model *m = model_from_json(json, false);
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
        cmocka_unit_test(heads_go_until_as_many_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
