#include "optim/adam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cmocka_all.h"

static const struct mega_adam plain = { .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 };

static struct mega_span span(int64_t offset, int64_t count)
{
    return (struct mega_span){
        .offset = offset, .count = count, .rate = 1, .decay = 1, .touched = true
    };
}

/* `n` values, gradients from a stream of random numbers, zero moments; free(flat.value) */
static struct mega_flat flat(int64_t n)
{
    float *all = calloc((size_t)n * 4, sizeof *all);
    assert_non_null(all);
    struct mega_rng g;
    mega_rng_start(&g, 7, 0);
    for (int64_t i = 0; i < 2 * n; i++) all[i] = (float)mega_rng_normal(&g);
    return (struct mega_flat){ all, all + n, all + 2 * n, all + 3 * n };
}

static double norm_of(struct mega_work *w, const float *grad, double scale, struct mega_span *s,
    int n, enum mega_clip_mode mode)
{
    double norm;
    assert_int_equal(mega_grad_norm(w, grad, scale, s, n, mode, &norm), MEGA_OK);
    return norm;
}

static void one_update(const struct mega_adam *a, double lr, double norm, struct mega_flat f,
    struct mega_span *s, int n)
{
    struct mega_work w;
    assert_int_equal(mega_work_init(&w, 1), MEGA_OK);
    mega_adam_step(&w, a, lr, 1, norm, f, s, n);
    mega_work_done(&w);
}

static void the_first_step_is_the_rate_whatever_the_gradient(void **state)
{
    (void)state;
    float value[] = { 1, 1, 1 }, grad[] = { 1e-3f, -5, 700 }, m[3] = { 0 }, v[3] = { 0 };
    struct mega_span s = span(0, 3);
    one_update(&plain, 0.25, 0, (struct mega_flat){ value, grad, m, v }, &s, 1);
    assert_float_equal(value[0], 0.75, 1e-3); /* eps is felt: 1e-8 against sqrt(1e-9) */
    assert_float_equal(value[1], 1.25, 1e-6);
    assert_float_equal(value[2], 0.75, 1e-6);
    assert_float_equal(m[1], -0.5, 1e-6);
    assert_float_equal(v[1], 0.025, 1e-8);
    assert_int_equal(s.steps, 1);
}

static void eps_stands_before_or_after_the_bias_correction(void **state)
{
    (void)state;
    /* g = eps: fairseq eps / (eps + eps / sqrt(1 - b2)), pytorch eps / (eps + eps) */
    for (int rule = MEGA_EPS_FAIRSEQ; rule <= MEGA_EPS_PYTORCH; rule++) {
        struct mega_adam a = plain;
        a.eps = 1e-3;
        a.eps_rule = rule;
        float value = 0, grad = 1e-3f, m = 0, v = 0;
        struct mega_span s = span(0, 1);
        one_update(&a, 1, 0, (struct mega_flat){ &value, &grad, &m, &v }, &s, 1);
        double expected = rule == MEGA_EPS_PYTORCH ? -0.5 : -1 / (1 + 1 / sqrt(0.001));
        assert_float_equal(value, expected, 1e-5);
    }
}

static void decay_is_decoupled_and_has_a_factor_for_each_span(void **state)
{
    (void)state;
    struct mega_adam a = plain;
    a.weight_decay = 0.5;
    float value[] = { 2, 2, 2 }, grad[3] = { 0 }, m[3] = { 0 }, v[3] = { 0 };
    struct mega_span s[] = { span(0, 1), span(1, 1), span(2, 1) };
    s[1].decay = 0;
    s[2].rate = 2;
    one_update(&a, 0.1, 0, (struct mega_flat){ value, grad, m, v }, s, 3);
    assert_float_equal(value[0], 1.9, 1e-6);
    assert_float_equal(value[1], 2, 0);
    assert_float_equal(value[2], 1.8, 1e-6);
}

static void an_untouched_span_keeps_value_moments_and_steps(void **state)
{
    (void)state;
    struct mega_adam a = plain;
    a.weight_decay = 0.5;
    float value[] = { 2, 2 }, grad[] = { 1, 0 }, m[] = { 0, 0.5f }, v[] = { 0, 0.25f };
    struct mega_span s[] = { span(0, 1), span(1, 1) };
    s[1].touched = false;
    s[1].steps = 9;
    one_update(&a, 0.1, 0, (struct mega_flat){ value, grad, m, v }, s, 2);
    assert_float_equal(value[1], 2, 0);
    assert_float_equal(m[1], 0.5, 0);
    assert_float_equal(v[1], 0.25, 0);
    assert_int_equal(s[0].steps, 1);
    assert_int_equal(s[1].steps, 9);
}

static void gradients_and_marks_are_cleared_and_gaps_left_alone(void **state)
{
    (void)state;
    float value[] = { 1, 1, 1 }, grad[] = { 1, 1, 1 }, m[3] = { 0 }, v[3] = { 0 };
    struct mega_span s[] = { span(0, 1), span(2, 1) };
    one_update(&plain, 0.1, 0, (struct mega_flat){ value, grad, m, v }, s, 2);
    assert_float_equal(grad[0], 0, 0);
    assert_float_equal(grad[1], 1, 0);
    assert_float_equal(grad[2], 0, 0);
    assert_float_equal(value[1], 1, 0);
    assert_false(s[0].touched || s[1].touched);
}

static void clipping_scales_all_gradients_or_each_tensor(void **state)
{
    (void)state;
    struct mega_work w;
    assert_int_equal(mega_work_init(&w, 1), MEGA_OK);
    for (int mode = MEGA_CLIP_TOTAL; mode <= MEGA_CLIP_EACH; mode++) {
        struct mega_adam a = plain;
        a.clip_norm = 1;
        a.clip_mode = mode;
        float value[3] = { 0 }, grad[] = { 6, 8, 0.5f }, m[3] = { 0 }, v[3] = { 0 };
        struct mega_span s[] = { span(0, 2), span(2, 1) };
        double norm = norm_of(&w, grad, 0.5, s, 2, (enum mega_clip_mode)mode);
        assert_float_equal(norm, mode == MEGA_CLIP_EACH ? 5 : sqrt(25.0625), 1e-12);
        assert_float_equal(s[1].norm, 0.25, 1e-12);
        mega_adam_step(&w, &a, 0.1, 0.5, norm, (struct mega_flat){ value, grad, m, v }, s, 2);
        /* m = 0.1 * clipped gradient */
        double first = mode == MEGA_CLIP_EACH ? 0.06 : 0.3 / norm;
        double last = mode == MEGA_CLIP_EACH ? 0.025 : 0.025 / norm;
        assert_float_equal(m[0], first, 1e-6);
        assert_float_equal(m[2], last, 1e-6);
    }
    mega_work_done(&w);
}

static void a_gradient_that_is_not_finite_shows_in_the_norm(void **state)
{
    (void)state;
    struct mega_work w;
    assert_int_equal(mega_work_init(&w, 1), MEGA_OK);
    float grad[] = { 1, NAN, 3e38f, 1 };
    struct mega_span s[] = { span(0, 1), span(1, 1), span(2, 2) };
    for (int mode = MEGA_CLIP_TOTAL; mode <= MEGA_CLIP_EACH; mode++) {
        grad[1] = NAN;
        assert_true(isnan(norm_of(&w, grad, 1, s, 3, (enum mega_clip_mode)mode)));
        grad[1] = -INFINITY;
        assert_true(isinf(norm_of(&w, grad, 1, s, 3, (enum mega_clip_mode)mode)));
        grad[1] = 0; /* squares that overflow float32 alone are no reason to stop */
        assert_float_equal(
            norm_of(&w, grad, 1, s, 3, (enum mega_clip_mode)mode) / 3e38, 1, 1e-6);
    }
    mega_work_done(&w);
}

static void nothing_at_all_has_norm_0(void **state)
{
    (void)state;
    struct mega_work w;
    assert_int_equal(mega_work_init(&w, 1), MEGA_OK);
    float none = 0;
    struct mega_span s[] = { span(0, 0), span(0, 0) };
    assert_float_equal(norm_of(&w, &none, 1, s, 0, MEGA_CLIP_TOTAL), 0, 0);
    assert_float_equal(norm_of(&w, &none, 1, s, 2, MEGA_CLIP_EACH), 0, 0);
    mega_work_done(&w);
}

static void the_norm_is_that_of_a_plain_sum(void **state)
{
    (void)state;
    struct mega_work w;
    assert_int_equal(mega_work_init(&w, 2), MEGA_OK);
    int64_t n = 200001;
    struct mega_flat f = flat(n);
    struct mega_span s[] = { span(0, 3), span(3, 99998), span(100001, 100000) };
    double sum = 0, second = 0;
    for (int64_t i = 0; i < n; i++) {
        double square = (double)f.grad[i] * f.grad[i];
        sum += square;
        if (i >= 3 && i < 100001) second += square;
    }
    assert_float_equal(norm_of(&w, f.grad, 1, s, 3, MEGA_CLIP_TOTAL) / sqrt(sum), 1, 1e-12);
    assert_float_equal(s[1].norm / sqrt(second), 1, 1e-12);
    mega_work_done(&w);
    free(f.value);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 3, 5 };
    int64_t n = 150000;
    struct mega_flat first = { 0 };
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct mega_work w;
        assert_int_equal(mega_work_init(&w, threads[t]), MEGA_OK);
        struct mega_flat f = flat(n);
        struct mega_span s[] = { span(0, 17), span(17, 70000), span(70100, n - 70100) };
        struct mega_adam a = plain;
        a.clip_norm = 0.1;
        double norm = norm_of(&w, f.grad, 1, s, 3, MEGA_CLIP_TOTAL);
        mega_adam_step(&w, &a, 0.1, 1, norm, f, s, 3);
        mega_work_done(&w);
        if (t == 0) {
            first = f;
        } else {
            assert_memory_equal(f.value, first.value, (size_t)n * 4 * sizeof(float));
            free(f.value);
        }
    }
    free(first.value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_step_is_the_rate_whatever_the_gradient),
        cmocka_unit_test(eps_stands_before_or_after_the_bias_correction),
        cmocka_unit_test(decay_is_decoupled_and_has_a_factor_for_each_span),
        cmocka_unit_test(an_untouched_span_keeps_value_moments_and_steps),
        cmocka_unit_test(gradients_and_marks_are_cleared_and_gaps_left_alone),
        cmocka_unit_test(clipping_scales_all_gradients_or_each_tensor),
        cmocka_unit_test(a_gradient_that_is_not_finite_shows_in_the_norm),
        cmocka_unit_test(nothing_at_all_has_norm_0),
        cmocka_unit_test(the_norm_is_that_of_a_plain_sum),
        cmocka_unit_test(threads_do_not_change_a_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
