#include "optim/schedule.h"
#include <string.h>

#include <math.h>
#include <stdio.h>

#include "cmocka_all.h"
#include "format/node.h"

/* a resolved schedule from lines of a recipe, for a run of 1000 updates */
static mega_status read(struct mega_schedule *s, struct mega_document *d, const char *yaml)
{
    MEGA_TRY(mega_yaml_parse(d, "recipe.yaml", yaml, strlen(yaml)));
    MEGA_TRY(mega_node_read(d, d->root, "optim", mega_schedule_options, NULL, s));
    return mega_schedule_resolve(s, 1000);
}

struct point {
    int64_t done;
    double rate;
};

static void expect(const char *yaml, const struct point *p, int n)
{
    struct mega_schedule s;
    struct mega_document d;
    if (read(&s, &d, yaml)) fail_msg("%s", mega_message());
    for (int i = 0; i < n; i++) {
        double got = mega_schedule_rate(&s, p[i].done);
        if (!(fabs(got - p[i].rate) <= 1e-12))
            fail_msg("%s: at %lld expected %.15g, got %.15g", yaml, (long long)p[i].done,
                p[i].rate, got);
    }
    mega_document_done(&d);
}

#define EXPECT(yaml, ...)                                                                      \
    do {                                                                                       \
        const struct point points[] = { __VA_ARGS__ };                                         \
        expect(yaml, points, sizeof points / sizeof *points);                                  \
    } while (0)

static void linear_decay_ends_where_the_run_ends_unless_steps_says_otherwise(void **state)
{
    (void)state;
    EXPECT("lr: 2", { 0, 2 }, { 500, 1 }, { 1000, 0 }, { 1001, 0 });
    EXPECT("lr: 2\nsteps: 100\nwarmup: 20\nend_lr: 1", { 0, 0 }, { 10, 1 }, { 20, 2 },
        { 60, 1.5 }, { 100, 1 }, { 5000, 1 });
}

static void a_run_shorter_than_its_warmup_never_leaves_it(void **state)
{
    (void)state;
    EXPECT("lr: 1\nsteps: 10\nwarmup: 20", { 0, 0 }, { 10, 0.5 }, { 20, 1 }, { 21, 0 });
}

static void fixed_warms_up_as_if_one_update_had_been_made(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: fixed\nwarmup: 4", { 0, 0.25 }, { 2, 0.75 }, { 3, 1 }, { 4, 1 });
    EXPECT("lr: 1\nschedule: constant\nwarmup: 4\nwarmup_init_lr: 0.5", { 0, 0.5 }, { 2, 0.75 },
        { 4, 1 });
}

static void inverse_sqrt_has_a_warmup_of_its_own(void **state)
{
    (void)state;
    EXPECT(
        "lr: 1\nschedule: inverse_sqrt", { 0, 0 }, { 2000, 0.5 }, { 4000, 1 }, { 16000, 0.5 });
}

/* 4 / sqrt(512) min(n^-0.5, n 16000^-1.5) of tensor2tensor and its kin, which count updates
 * from 1: so much is the peak, and the rate of update n is ours after n updates */
static void inverse_sqrt_passes_the_values_of_noam(void **state)
{
    (void)state;
    static const struct point points[] = { { 1, 8.73463e-8 }, { 4000, 3.49386e-4 },
        { 16000, 1.39754e-3 }, { 100000, 5.59017e-4 } };
    struct mega_schedule s;
    struct mega_document d;
    char yaml[120];
    snprintf(yaml, sizeof yaml, "lr: %.17g\nschedule: inverse_sqrt\nwarmup: 16000",
        4 / sqrt(512.0) / sqrt(16000.0));
    if (read(&s, &d, yaml)) fail_msg("%s", mega_message());
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        double got = mega_schedule_rate(&s, points[i].done);
        if (!(fabs(got / points[i].rate - 1) <= 1e-5))
            fail_msg(
                "at %lld expected %g, got %g", (long long)points[i].done, points[i].rate, got);
    }
    mega_document_done(&d);
}

static void cosine_without_a_period_comes_down_once_and_stays(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: cosine\nend_lr: 0.5", { 0, 1 }, { 500, 0.75 }, { 1000, 0.5 },
        { 9999, 0.5 });
    EXPECT("lr: 1\nschedule: cosine\ncycles: 2", { 500, 0 }, { 999, 0.9999901304280685 },
        { 1000, 0 });
}

static void cosine_with_a_period_starts_anew_lower_and_longer(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: cosine\nperiod: 10\nlr_shrink: 0.5", { 0, 1 }, { 5, 0.5 },
        { 10, 0.5 }, { 20, 0.25 }, { 25, 0.125 });
    EXPECT("lr: 1\nschedule: cosine\nperiod: 10\nt_mult: 2\nlr_shrink: 0.5", { 10, 0.5 },
        { 20, 0.25 }, { 30, 0.25 }, { 50, 0.125 }, { 70, 0.125 });
}

static void step_does_not_count_multiples_within_the_warmup(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: step\nwarmup: 25\nperiod: 10\nlr_shrink: 0.5", { 25, 1 },
        { 29, 1 }, { 30, 0.5 }, { 40, 0.25 });
}

static void milestone_drops_at_each_given_update(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: milestone\nwarmup: 10\nlr_shrink: 0.5\nmilestones: [5, 20, 30]",
        { 10, 1 }, { 19, 1 }, { 20, 0.5 }, { 30, 0.25 });
}

static void tri_stage_starts_and_ends_at_a_hundredth(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: tri_stage\nwarmup: 10\nhold_steps: 5\ndecay_steps: 10",
        { 0, 0.01 }, { 10, 1 }, { 15, 1 }, { 20, 0.1 }, { 25, 0.01 }, { 26, 0.01 });
}

static void triangular_is_a_saw_with_shrinking_tops(void **state)
{
    (void)state;
    EXPECT("lr: 1\nschedule: triangular\nmax_lr: 5\nperiod: 10\nlr_shrink: 0.5", { 0, 1 },
        { 5, 5 }, { 10, 1 }, { 15, 2.5 });
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } bad[] = {
        { "lr: 1\nwarmup_init_lr: 0.1", "optim.warmup is 0" },
        { "lr: 1\nwarmup: 10\nwarmup_init_lr: 2", "would start at 2" },
        { "lr: 1\nschedule: inverse_sqrt\nwarmup: 0", "inverse_sqrt needs a warm-up" },
        { "lr: 1\nschedule: milestone", "found none" },
        { "lr: 1\nschedule: milestone\nmilestones: [10, x]", "entry 2 is \"x\"" },
        { "lr: 1\nschedule: tri_stage\nend_lr: 0", "must be above 0" },
        { "lr: 1\nschedule: triangular", "max_lr is 0" },
        { "lr: 1\nschedule: triangular\nmax_lr: 2\nwarmup: 5", "has no warm-up" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mega_schedule s;
        struct mega_document d;
        assert_int_equal(read(&s, &d, bad[i].yaml), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), bad[i].says)) fail_msg("%s", mega_message());
        mega_document_done(&d);
    }
}

static void an_endless_run_with_a_falling_rate_is_refused(void **state)
{
    (void)state;
    struct mega_schedule s;
    mega_option_defaults(mega_schedule_options, &s);
    s.lr = 1;
    assert_int_equal(mega_schedule_resolve(&s, 0), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "optim.steps"));
}

static void resolving_twice_changes_nothing(void **state)
{
    (void)state;
    struct mega_schedule once, twice;
    struct mega_document d;
    assert_int_equal(read(&once, &d, "lr: 1\nschedule: cosine\nwarmup: 7"), MEGA_OK);
    twice = once;
    assert_int_equal(mega_schedule_resolve(&twice, 5), MEGA_OK);
    assert_memory_equal(&once, &twice, sizeof once);
    mega_document_done(&d);
}

static void a_plateau_lowers_the_rate_once_patience_is_used_up(void **state)
{
    (void)state;
    struct mega_schedule s;
    struct mega_document d;
    assert_int_equal(read(&s, &d,
                         "lr: 1\nschedule: reduce_lr_on_plateau\nwarmup: 10\nlr_patience: 1\n"
                         "lr_shrink: 0.5"),
        MEGA_OK);
    struct mega_plateau p = { 0 };
    mega_plateau_see(&p, &s, 10, 0.1, false); /* still warming up: not looked at */
    static const struct {
        double loss, factor;
    } seen[] = { { 2, 1 }, { 1, 1 }, { 1, 1 }, { 0.99995, 0.5 }, { NAN, 0.5 }, { 0.9, 0.5 },
        { 0.9, 0.5 }, { 0.9, 0.25 } };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        mega_plateau_see(&p, &s, 20, seen[i].loss, false);
        assert_true(mega_plateau_factor(&p, &s) == seen[i].factor);
    }
    mega_document_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_decay_ends_where_the_run_ends_unless_steps_says_otherwise),
        cmocka_unit_test(a_run_shorter_than_its_warmup_never_leaves_it),
        cmocka_unit_test(fixed_warms_up_as_if_one_update_had_been_made),
        cmocka_unit_test(inverse_sqrt_has_a_warmup_of_its_own),
        cmocka_unit_test(inverse_sqrt_passes_the_values_of_noam),
        cmocka_unit_test(cosine_without_a_period_comes_down_once_and_stays),
        cmocka_unit_test(cosine_with_a_period_starts_anew_lower_and_longer),
        cmocka_unit_test(step_does_not_count_multiples_within_the_warmup),
        cmocka_unit_test(milestone_drops_at_each_given_update),
        cmocka_unit_test(tri_stage_starts_and_ends_at_a_hundredth),
        cmocka_unit_test(triangular_is_a_saw_with_shrinking_tops),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(an_endless_run_with_a_falling_rate_is_refused),
        cmocka_unit_test(resolving_twice_changes_nothing),
        cmocka_unit_test(a_plateau_lowers_the_rate_once_patience_is_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
