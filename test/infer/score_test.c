/* Scores of texts: the numbers of the real model, and what each way lets a token see. */
#include "infer/score.h"

#include <math.h>

#include "format/node.h"
#include "model.h"

enum { V = 13, N = 30 };

struct taken {
    double by[64];
    int64_t n;
};

static mega_status take(void *arg, int64_t place, int32_t id, double log_probability)
{
    struct taken *t = arg;
    (void)id;
    assert_int_equal(place, t->n + 1);
    t->by[t->n++] = log_probability;
    return MEGA_OK;
}

static struct mega_score_total score(struct test_model *m, const int32_t *id, int64_t n,
    int64_t piece, struct mega_score_options o, struct taken *t)
{
    struct mega_model_stepper s;
    struct mega_score_total total;
    t->n = 0;
    assert_int_equal(mega_model_stepper_init(&s, &m->step, m->run, 1, piece, 512), MEGA_OK);
    assert_int_equal(mega_score_text(&s, id, n, &o, take, t, &total), MEGA_OK);
    mega_model_stepper_done(&s);
    return total;
}

/* the text of the case in the shared folder, with the scores that were computed in double */
static void the_real_model_scores_as_computed_elsewhere(void **state)
{
    (void)state;
    char path[1024];
    struct test_model m;
    struct mega_document d;
    struct taken t;
    int32_t id[64];
    int64_t n = 0;
    const char *data = getenv("MEGA_DATA");
    snprintf(path, sizeof path, "%s/../cases/files/b15_stories_scores.json",
        data ? data : MEGA_SOURCE "/../shared/data");
    if (!mega_path_exists(path) || !test_model_stories(&m, 1)) skip();
    assert_int_equal(mega_json_load(&d, path), MEGA_OK);
    const struct mega_node *by = mega_node_find(d.root, "nll_nats_per_token")->first;
    for (const struct mega_node *i = mega_node_find(d.root, "ids")->first; i; i = i->next)
        id[n++] = (int32_t)i->integer;
    struct mega_score_total total =
        score(&m, id, n, 16, (struct mega_score_options){ MEGA_SCORE_CARRY, 0, 0 }, &t);
    assert_int_equal(total.tokens, 28);
    for (int i = 0; i < 28; i++, by = by->next) assert_float_equal(-t.by[i], by->real, 2e-5);
    assert_float_equal(-total.sum, mega_node_find(d.root, "sum")->real, 1e-4);
    /* 84 bytes */
    assert_float_equal(mega_score_bits(&total, 84), 37.114182 / log(2) / 84, 1e-5);
    assert_float_equal(mega_score_perplexity(&total), exp(37.114182 / 28), 1e-4);
    mega_document_done(&d);
    test_model_close(&m);
}

static void fill(int32_t id[N])
{
    for (int i = 0; i < N; i++) id[i] = i * i % V;
}

/* what token `place` gets after the ids first ... place-1 alone */
static double alone(struct test_model *m, const int32_t *id, int64_t first, int64_t place)
{
    struct taken t;
    score(m, id + first, place - first + 1, 64,
        (struct mega_score_options){ MEGA_SCORE_CARRY, 0, 0 }, &t);
    return t.by[place - first - 1];
}

static void every_token_is_scored_once_after_what_its_way_shows(void **state)
{
    (void)state;
    static const struct mega_score_options ways[] = { { MEGA_SCORE_CARRY, 0, 0 },
        { MEGA_SCORE_WINDOWS, 8, 0 }, { MEGA_SCORE_WINDOWS, 40, 0 }, { MEGA_SCORE_SLIDE, 8, 3 },
        { MEGA_SCORE_SLIDE, 8, 8 }, { MEGA_SCORE_SLIDE, 7, 1 } };
    static const int64_t pieces[] = { 1, 5, 64 };
    struct test_model m;
    int32_t id[N];
    fill(id);
    test_model_small(&m, 64, -1, 1);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        for (int p = 0; p < 3; p++) {
            struct taken t;
            struct mega_score_options o = ways[w];
            struct mega_score_total total = score(&m, id, N, pieces[p], o, &t);
            assert_int_equal(total.tokens, N - 1);
            double sum = 0;
            for (int64_t place = 1; place < N; place++) {
                int64_t first = 0, end = o.window;
                int64_t stride = o.way == MEGA_SCORE_SLIDE ? o.stride : o.window;
                while (o.way != MEGA_SCORE_CARRY && place > end) {
                    first += stride;
                    end = first + o.window;
                }
                assert_float_equal(t.by[place - 1], alone(&m, id, first, place), 2e-5);
                sum += t.by[place - 1];
            }
            assert_true(total.sum == sum);
        }
    test_model_close(&m);
}

static void texts_of_one_token_and_none_score_nothing(void **state)
{
    (void)state;
    struct test_model m;
    struct taken t;
    int32_t id[1] = { 1 };
    test_model_small(&m, 64, -1, 1);
    for (int64_t n = 0; n < 2; n++) {
        struct mega_score_total total =
            score(&m, id, n, 4, (struct mega_score_options){ MEGA_SCORE_WINDOWS, 8, 0 }, &t);
        assert_int_equal(total.tokens, 0);
        assert_true(mega_score_perplexity(&total) == 1);
        assert_true(mega_score_bits(&total, 0) == 0);
    }
    test_model_close(&m);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct mega_score_options bad[] = { { MEGA_SCORE_WINDOWS, 0, 0 },
        { MEGA_SCORE_SLIDE, 4, 5 }, { MEGA_SCORE_SLIDE, 4, 0 }, { MEGA_SCORE_WINDOWS, 17, 0 },
        { MEGA_SCORE_CARRY, 0, 0 } };
    struct test_model m;
    struct mega_model_stepper s;
    struct mega_score_total total;
    int32_t id[N];
    fill(id);
    test_model_small(&m, 16, -1, 1);
    assert_int_equal(mega_model_stepper_init(&s, &m.step, m.run, 1, 4, 16), MEGA_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            mega_score_text(&s, id, N, &bad[i], NULL, NULL, &total), MEGA_BAD_ARGUMENT);
    id[3] = V;
    struct mega_score_options o = { MEGA_SCORE_WINDOWS, 8, 0 };
    assert_int_equal(mega_score_text(&s, id, N, &o, NULL, NULL, &total), MEGA_BAD_ARGUMENT);
    mega_model_stepper_done(&s);
    test_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_model_scores_as_computed_elsewhere),
        cmocka_unit_test(every_token_is_scored_once_after_what_its_way_shows),
        cmocka_unit_test(texts_of_one_token_and_none_score_nothing),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
