/* Importance of heads of masked language models: gradients are derivatives of the loss of what
 * is hidden; relevance of a hidden token is conserved, over places on both sides. */
#include <stdio.h>

#include "study/setup.h"

static const char masked[] =
    "{ \"megac\": 1, \"architecture\": \"masked_language_model\", \"model\": { \"layers\": 2, "
    "\"width\": 12, \"ffn\": 10, \"heads\": 4, \"longest\": 32, \"positions\": \"learned\", "
    "\"type_emb\": 2, \"post_emb_norm\": true, \"placement\": \"%s\", \"activation\": "
    "\"gelu\", "
    "\"attention_bias\": true, \"kept_heads\": \"%s\" %s }, \"inputs\": { \"vocabulary\": 257, "
    "\"pad\": 0 }, \"task\": { \"name\": \"masked_lm\", \"tokenizer\": \"bytes\", "
    "\"end_of_document\": \"none\", \"rows\": \"none\", \"length\": 12, \"mask_share\": 0.3, "
    "\"cache\": \"none\" } }";

static void open_masked(
    struct setup *s, const char *placement, const char *kept, const char *more)
{
    char json[1200];
    snprintf(json, sizeof json, masked, placement, kept, more);
    open_json(s, json, "masked_test.txt");
}

static void gradients_are_derivatives_of_the_loss(void **state)
{
    (void)state;
    struct setup s;
    open_masked(&s, "post", "all; 0 2 3", "");
    check_gradients(&s);
    done(&s);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_derivatives_of_the_loss),
        cmocka_unit_test(relevance_of_a_masked_token_is_conserved),
        cmocka_unit_test(a_masked_model_without_heads_looks_at_its_place),
        cmocka_unit_test(a_closed_head_of_a_masked_model_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
