/* The choice of the next token: filters by hand-worked numbers, bounds, draws. */
#include "infer/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/fail.h"
#include "base/rng.h"

enum { MOST = 8 };

static struct mega_sampler open(struct mega_sampling how, int64_t n)
{
    struct mega_sampler s;
    assert_int_equal(mega_sampler_init(&s, &how, n, mega_isa_here()), MEGA_OK);
    return s;
}

/* the probabilities of four tokens after the filters of `how` */
static void expect(struct mega_sampling how, const double wanted[4])
{
    static const double p[4] = { 0.5, 0.3, 0.15, 0.05 };
    float logit[4];
    double found[4];
    for (int i = 0; i < 4; i++) logit[i] = (float)log(p[i]) + 3;
    struct mega_sampler s = open(how, 4);
    assert_int_equal(mega_sampler_weigh(&s, logit, NULL, found), MEGA_OK);
    for (int i = 0; i < 4; i++) assert_float_equal(found[i], wanted[i], 1e-6);
    mega_sampler_done(&s);
}

static struct mega_sampling with_top_p(double p)
{
    struct mega_sampling how = mega_sampling_plain();
    how.top_p = p;
    return how;
}

static const double all[4] = { 0.5, 0.3, 0.15, 0.05 }, one[4] = { 1 },
                    two[4] = { 0.625, 0.375 }, three[4] = { 0.526316, 0.315789, 0.157895 };

static void top_p_keeps_the_smallest_set_that_reaches_p(void **state)
{
    (void)state;
    expect(with_top_p(0), one);
    expect(with_top_p(0.5), one);
    expect(with_top_p(0.6), two);
    expect(with_top_p(0.8), two);
    expect(with_top_p(0.85), three);
    expect(with_top_p(0.96), all);
    expect(with_top_p(1), all);
}

static void min_p_is_a_share_of_the_likeliest(void **state)
{
    (void)state;
    struct mega_sampling how = mega_sampling_plain();
    how.min_p = 0.2;
    expect(how, three);
    how.min_p = 0.3; /* 0.15 is 0.3 of 0.5 */
    expect(how, three);
    how.min_p = 1;
    expect(how, one);
}

static void top_k_keeps_k(void **state)
{
    (void)state;
    struct mega_sampling how = mega_sampling_plain();
    static const double *const wanted[] = { all, one, two, three, all, all };
    for (int k = 0; k < 6; k++) {
        how.top_k = k; /* 0: off; more than there are: all */
        expect(how, wanted[k]);
    }
}

static void filters_see_what_those_before_them_left(void **state)
{
    (void)state;
    struct mega_sampling how = mega_sampling_plain();
    how.top_k = 3; /* 0.526, 0.316, 0.158: the first two have 0.842 */
    how.top_p = 0.84;
    expect(how, two);
    how.top_k = 0;
    expect(how, three);
}

static void temperature_divides_and_0_is_the_first_of_the_largest(void **state)
{
    (void)state;
    struct mega_sampling how = mega_sampling_plain();
    how.temperature = 0.5; /* squares: 0.25, 0.09, 0.0225, 0.0025 of 0.365 */
    expect(how, (double[]){ 0.684932, 0.246575, 0.061644, 0.006849 });
    how.temperature = 1e-30;
    expect(how, one);

    float equal[5] = { 1, 3, -2, 3, 3 };
    how.temperature = 0;
    how.top_k = 2;
    how.top_p = 0.1;
    how.min_p = 1;
    struct mega_sampler s = open(how, 5);
    for (uint64_t step = 0; step < 20; step++) {
        int32_t id;
        assert_int_equal(mega_sampler_choose(&s, equal, NULL, 0, step, &id), MEGA_OK);
        assert_int_equal(id, 1);
    }
    mega_sampler_done(&s);
}

static void of_equals_the_first_are_kept(void **state)
{
    (void)state;
    float equal[6] = { 0, 2, 2, 2, 2, 0 };
    double p[6];
    struct mega_sampling how = mega_sampling_plain();
    how.top_k = 3;
    struct mega_sampler s = open(how, 6);
    assert_int_equal(mega_sampler_weigh(&s, equal, NULL, p), MEGA_OK);
    for (int i = 0; i < 6; i++) assert_float_equal(p[i], i >= 1 && i <= 3 ? 1.0 / 3 : 0, 1e-7);
    mega_sampler_done(&s);
}

static void the_penalty_counts_a_token_once_and_never_helps_it(void **state)
{
    (void)state;
    static const float logit[3] = { 2, -1, 0.5 };
    static const double wanted[3] = { 2 / 1.5, -1.5, 0.5 };
    static const int32_t history[4] = { 0, 1, 1, 0 };
    uint64_t seen[1] = { 0 };
    double p[3];
    struct mega_sampling how = mega_sampling_plain();
    how.repetition_penalty = 1.5;
    struct mega_sampler s = open(how, 3);
    for (int i = 0; i < 4; i++) mega_seen_add(seen, history[i]);
    assert_int_equal(mega_sampler_weigh(&s, logit, seen, p), MEGA_OK);
    for (int i = 0; i < 3; i++)
        assert_float_equal(log(p[i] / p[2]), wanted[i] - wanted[2], 1e-5);
    mega_sampler_done(&s);
}

static void values_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct mega_sampling how[8];
    for (int i = 0; i < 8; i++) how[i] = mega_sampling_plain();
    how[0].temperature = -1;
    how[1].temperature = NAN;
    how[2].top_p = 1.01;
    how[3].top_p = -0.1;
    how[4].min_p = 2;
    how[5].repetition_penalty = 0;
    how[6].repetition_penalty = -1;
    how[7].top_k = -1;
    for (int i = 0; i < 8; i++) {
        struct mega_sampler s;
        assert_int_equal(mega_sampler_init(&s, &how[i], 4, mega_isa_here()), MEGA_BAD_ARGUMENT);
        mega_sampler_done(&s);
    }
    how[0].temperature = 1e6;
    assert_int_equal(mega_sampling_check(&how[0]), MEGA_OK);
}

static void logits_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    float logit[40] = { 0 };
    int32_t id;
    struct mega_sampler s = open(mega_sampling_plain(), 40);
    logit[17] = NAN;
    assert_int_equal(mega_sampler_choose(&s, logit, NULL, 0, 0, &id), MEGA_NOT_FINITE);
    assert_non_null(strstr(mega_message(), "token 17"));
    logit[17] = INFINITY;
    assert_int_equal(mega_sampler_choose(&s, logit, NULL, 0, 0, &id), MEGA_NOT_FINITE);
    for (int i = 0; i < 40; i++) logit[i] = -INFINITY;
    assert_int_equal(mega_sampler_choose(&s, logit, NULL, 0, 0, &id), MEGA_NOT_FINITE);
    /* but some may be ruled out */
    logit[33] = -4;
    assert_int_equal(mega_sampler_choose(&s, logit, NULL, 0, 0, &id), MEGA_OK);
    assert_int_equal(id, 33);
    mega_sampler_done(&s);
}

static void draws_follow_the_probabilities_and_repeat(void **state)
{
    (void)state;
    enum { N = 1000, DRAWS = 20000 };
    static float logit[N];
    static double p[N], found[N];
    struct mega_sampling how = mega_sampling_plain();
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (int i = 0; i < N; i++) logit[i] = 2 * (float)mega_rng_normal(&g);
    struct mega_sampler s = open(how, N);
    assert_int_equal(mega_sampler_weigh(&s, logit, NULL, p), MEGA_OK);
    for (uint64_t step = 0; step < DRAWS; step++) {
        int32_t id, again, other;
        assert_int_equal(mega_sampler_choose(&s, logit, NULL, 7, step, &id), MEGA_OK);
        found[id] += 1.0 / DRAWS;
        if (step > 100) continue;
        assert_int_equal(mega_sampler_choose(&s, logit, NULL, 8, step, &other), MEGA_OK);
        assert_int_equal(mega_sampler_choose(&s, logit, NULL, 7, step, &again), MEGA_OK);
        assert_int_equal(id, again);
    }
    for (int i = 0; i < N; i++) /* five deviations */
        assert_true(fabs(found[i] - p[i]) < 5 * sqrt(p[i] / DRAWS) + 1.0 / DRAWS);
    mega_sampler_done(&s);
}

/* ---- against sorting ---- */

struct entry {
    float logit;
    int id;
};

static int likelier(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->logit > y->logit ? -1 : x->logit < y->logit ? 1 : x->id - y->id;
}

/* what stays of 3,000 tokens by top-k and top-p, the long way */
static void keep_by_sorting(const float *logit, int n, int64_t k, double top_p, bool *kept)
{
    struct entry *e = malloc((size_t)n * sizeof *e);
    double sum = 0, before = 0;
    for (int i = 0; i < n; i++) e[i] = (struct entry){ logit[i], i };
    qsort(e, (size_t)n, sizeof *e, likelier);
    for (int i = 0; i < n; i++) kept[i] = false;
    for (int i = 0; i < k; i++) sum += exp((double)e[i].logit);
    for (int i = 0; i < k; i++) {
        if (i && before >= top_p * sum) break;
        kept[e[i].id] = true;
        before += exp((double)e[i].logit);
    }
    free(e);
}

static void selection_agrees_with_sorting(void **state)
{
    (void)state;
    enum { N = 3000 };
    static float logit[N];
    static double p[N];
    static bool kept[N];
    struct mega_rng g;
    mega_rng_start(&g, 5, 6);
    for (int round = 0; round < 60; round++) {
        struct mega_sampling how = mega_sampling_plain();
        double spread = round % 3 == 0 ? 1e-3 : round % 3 == 1 ? 1 : 8;
        for (int i = 0; i < N; i++) logit[i] = (float)(spread * mega_rng_normal(&g));
        /* many equals */
        for (int i = 0; round % 4 == 3 && i < N; i++) logit[i] = roundf(logit[i]);
        how.top_k = 1 + mega_rng_below(&g, N - 1);
        how.top_p = mega_rng_unit(&g);
        struct mega_sampler s = open(how, N);
        assert_int_equal(mega_sampler_weigh(&s, logit, NULL, p), MEGA_OK);
        keep_by_sorting(logit, N, how.top_k, how.top_p, kept);
        int differ = 0;
        for (int i = 0; i < N; i++) differ += (p[i] > 0) != kept[i] && logit[i] > -60;
        assert_in_range(differ, 0, 1); /* the bound may fall between two sums' rounding */
        mega_sampler_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_p_keeps_the_smallest_set_that_reaches_p),
        cmocka_unit_test(min_p_is_a_share_of_the_likeliest),
        cmocka_unit_test(top_k_keeps_k),
        cmocka_unit_test(filters_see_what_those_before_them_left),
        cmocka_unit_test(temperature_divides_and_0_is_the_first_of_the_largest),
        cmocka_unit_test(of_equals_the_first_are_kept),
        cmocka_unit_test(the_penalty_counts_a_token_once_and_never_helps_it),
        cmocka_unit_test(values_that_cannot_be_are_refused),
        cmocka_unit_test(logits_that_are_no_numbers_are_refused),
        cmocka_unit_test(draws_follow_the_probabilities_and_repeat),
        cmocka_unit_test(selection_agrees_with_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
