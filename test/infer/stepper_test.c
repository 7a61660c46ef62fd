/* Rows on their way through a model: reordered, scored. */
#include "infer/stepper.h"

#include <math.h>

#include "model.h"

enum { ROWS = 3, V = 13 };

/* the logits after these ids, in one piece, alone */
static void alone(struct test_model *m, const int32_t *id, int64_t n, float *out)
{
    struct mega_model_stepper s;
    const float *logit;
    int32_t len = (int32_t)n;
    assert_int_equal(mega_model_stepper_init(&s, &m->step, m->run, 1, 32, 64), MEGA_OK);
    struct mega_stepper step = mega_model_stepper_of(&s);
    assert_int_equal(step.feed(step.self, &id, n, &len, &logit), MEGA_OK);
    memcpy(out, logit, V * sizeof *out);
    mega_model_stepper_done(&s);
}

static void compare_reordered(int64_t longest, int64_t chunk)
{
    static const int32_t text[ROWS][8] = { { 1, 2, 3, 4, 5, 6, 7 }, { 8, 9 }, { 10, 11, 12 } };
    static const int32_t len[ROWS] = { 7, 2, 3 }, from[ROWS] = { 1, 0, 0 },
                         more[ROWS] = { 3, 4, 5 }, one[ROWS] = { 1, 1, 1 };
    const int32_t *ids[ROWS] = { text[0], text[1], text[2] };
    const float *logit[ROWS];
    float wanted[V];
    struct test_model m;
    struct mega_model_stepper s;
    test_model_small(&m, longest, chunk, 1);
    assert_int_equal(mega_model_stepper_init(&s, &m.step, m.run, ROWS, 8, 64), MEGA_OK);
    struct mega_stepper step = mega_model_stepper_of(&s);
    assert_int_equal(step.feed(step.self, ids, 7, len, NULL), MEGA_OK);
    assert_int_equal(step.reorder(step.self, from), MEGA_OK);
    float found[ROWS][V];
    for (int b = 0; b < ROWS; b++) ids[b] = &more[b];
    assert_int_equal(step.feed(step.self, ids, 1, one, logit), MEGA_OK);
    for (int b = 0; b < ROWS; b++) memcpy(found[b], logit[b], sizeof found[b]);
    for (int b = 0; b < ROWS; b++) {
        int32_t whole[9];
        int64_t n = len[from[b]];
        memcpy(whole, text[from[b]], (size_t)n * sizeof *whole);
        whole[n] = more[b];
        alone(&m, whole, n + 1, wanted);
        for (int i = 0; i < V; i++) assert_float_equal(found[b][i], wanted[i], 1e-5);
    }
    mega_model_stepper_done(&s);
    test_model_close(&m);
}

static void a_reordered_row_goes_on_as_the_other_one(void **state)
{
    (void)state;
    compare_reordered(64, -1);
    compare_reordered(0, 4);
}

static void scores_are_logarithms_of_probabilities(void **state)
{
    (void)state;
    enum { N = 40 };
    int32_t id[N + 1];
    double score[N];
    struct test_model m;
    struct mega_model_stepper s;
    test_model_small(&m, 64, -1, 1);
    for (int i = 0; i <= N; i++) id[i] = i * 5 % V;
    assert_int_equal(mega_model_stepper_init(&s, &m.step, m.run, 1, 35, 64), MEGA_OK);
    assert_int_equal(mega_model_stepper_score(&s, id, 35, id + 1, score), MEGA_OK);
    assert_int_equal(mega_model_stepper_score(&s, id + 35, 5, id + 36, score + 35), MEGA_OK);
    mega_model_stepper_done(&s);
    for (int n = 1; n <= N; n += 6) {
        float logit[V];
        double sum = 0;
        if (n > 32) break;
        alone(&m, id, n, logit);
        for (int i = 0; i < V; i++) sum += exp((double)logit[i]);
        assert_float_equal(score[n - 1], (double)logit[id[n]] - log(sum), 1e-5);
    }
    test_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reordered_row_goes_on_as_the_other_one),
        cmocka_unit_test(scores_are_logarithms_of_probabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
