/* The vector functions against the C library's in double, on every instruction set here. */
#include <math.h>
#include <string.h>

#include "kernel/cpu/rows.h"
#include "op/act.h"

#include "cmocka_all.h"

enum { N = 4099 };

typedef void map_fn(float *y, const float *x, int64_t n);

static double ulp(double v)
{
    float a = fabsf((float)v);
    return isinf(a) ? 0x1p104 : (double)(nextafterf(a, INFINITY) - a);
}

/* N numbers over [lo, hi], the ends among them */
static void spread(float *x, double lo, double hi)
{
    for (int i = 0; i < N; i++) x[i] = (float)(lo + (hi - lo) * i / (N - 1));
}

/* numbers of every size: +- 2^e for -126 <= e <= 100 */
static void scatter(float *x)
{
    struct mega_rng g;
    mega_rng_start(&g, 7, 7);
    for (int i = 0; i < N; i++) {
        float v = ldexpf(1 + (float)mega_rng_unit(&g), (int)mega_rng_below(&g, 227) - 126);
        x[i] = mega_rng_below(&g, 2) ? v : -v;
    }
}

/* largest error of f in ulp of the exact value; `least`: ulp are not counted smaller */
static double worst_ulp(map_fn *f, double (*exact)(double), const float *x, double least)
{
    static float y[N];
    double worst = 0;
    f(y, x, N);
    for (int i = 0; i < N; i++) {
        double want = exact((double)x[i]);
        if ((double)y[i] == want || (isinf(y[i]) && fabs(want) > 3.4028235e38 && want > 0))
            continue;
        double error = fabs((double)y[i] - want) / fmax(ulp(want), least);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

#define EACH_ISA(rows)                                                                         \
    for (enum mega_isa isa = MEGA_ISA_BASE; isa <= mega_isa_here(); isa++)                     \
        for (const struct mega_cpu_rows *rows = mega_cpu_rows(isa); rows; rows = NULL)

#define assert_below(value, bound)                                                             \
    do {                                                                                       \
        double value_ = (value);                                                               \
        if (!(value_ <= (bound)))                                                              \
            fail_msg("%s: error %g, bound %g", mega_isa_name(isa), value_, (double)(bound));   \
    } while (0)

static void exp_is_within_1_ulp(void **state)
{
    (void)state;
    static float x[N];
    EACH_ISA(rows)
    {
        spread(x, -86.6, 88.72);
        assert_below(worst_ulp(rows->exp, exp, x, 0), 1);
        spread(x, -1, 1);
        assert_below(worst_ulp(rows->exp, exp, x, 0), 1);
        /* beneath 2^-125 results are 0 */
        spread(x, -1000, 1000);
        assert_below(worst_ulp(rows->exp, exp, x, 0x1p-124), 1);
        scatter(x);
        assert_below(worst_ulp(rows->exp, exp, x, 0x1p-124), 1);
    }
}

static void log_is_within_1_ulp(void **state)
{
    (void)state;
    static float x[N];
    EACH_ISA(rows)
    {
        spread(x, 0.5, 2);
        assert_below(worst_ulp(rows->log, log, x, 0), 1);
        scatter(x);
        for (int i = 0; i < N; i++) x[i] = fabsf(x[i]);
        assert_below(worst_ulp(rows->log, log, x, 0), 1);
        spread(x, 0x1p-149, 0x1p-126); /* subnormal numbers */
        assert_below(worst_ulp(rows->log, log, x, 0), 1);
    }
}

static void tanh_and_erf_are_within_3_ulp(void **state)
{
    (void)state;
    static float x[N];
    EACH_ISA(rows)
    {
        static const double reach[] = { 0.01, 1, 12 };
        for (int i = 0; i < 3; i++) {
            spread(x, -reach[i], reach[i]);
            assert_below(worst_ulp(rows->tanh, tanh, x, 0), 3);
            assert_below(worst_ulp(rows->erf, erf, x, 0), 3);
        }
        scatter(x);
        assert_below(worst_ulp(rows->tanh, tanh, x, 0x1p-149), 3);
        assert_below(worst_ulp(rows->erf, erf, x, 0x1p-149), 3);
    }
}

static void specials_go_where_they_should(void **state)
{
    (void)state;
    float x[] = { NAN, INFINITY, -INFINITY, 0, -0.0f, -100, 89, -1 }, y[8];
    EACH_ISA(rows)
    {
        rows->exp(y, x, 8);
        assert_true(isnan(y[0]) && y[1] == INFINITY && y[2] == 0 && y[3] == 1 && y[4] == 1);
        assert_true(y[5] == 0 && y[6] == INFINITY);
        rows->log(y, x, 8);
        assert_true(isnan(y[0]) && y[1] == INFINITY && isnan(y[2]) && y[3] == -INFINITY);
        assert_true(y[4] == -INFINITY && isnan(y[7]));
        rows->tanh(y, x, 8);
        assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && signbit(y[4]));
        rows->erf(y, x, 8);
        assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && signbit(y[4]));
        for (int act = MEGA_ACT_LINEAR; act <= MEGA_ACT_SIGMOID; act++) {
            rows->act((enum mega_act)act, y, x, NULL, 8);
            assert_true(isnan(y[0]) && y[1] == (act == MEGA_ACT_SIGMOID ? 1 : INFINITY));
        }
    }
}

static void a_nan_with_any_bits_stays_one(void **state)
{
    (void)state;
    static const uint32_t bits[] = { 0x7FC00000, 0xFFC00000, 0x7FC001FF, 0xFFFFFFFF, 0x7F800001,
        0x7FBFFFFF };
    float x[6], y[6];
    memcpy(x, bits, sizeof x);
    EACH_ISA(rows)
    {
        map_fn *maps[] = { rows->exp, rows->log, rows->tanh, rows->erf, rows->laplace,
            rows->relu2 };
        for (int f = 0; f < 6; f++) {
            maps[f](y, x, 6);
            for (int i = 0; i < 6; i++) assert_true(isnan(y[i]));
        }
    }
}

/* largest error of an act or its slope, relative to max(1, |x|) */
static double worst_act(const struct mega_cpu_rows *rows, enum mega_act act, const float *x)
{
    static float y[N], slope[N], one[N];
    double worst = 0;
    for (int i = 0; i < N; i++) one[i] = 1;
    rows->act(act, y, x, NULL, N);
    rows->act_slope(act, slope, one, x, NULL, N);
    for (int i = 0; i < N; i++) {
        double v = (double)x[i], scale = fmax(1, fabs(v));
        worst = fmax(worst, fabs((double)y[i] - mega_act(act, v)) / scale);
        if (x[i] != 0) worst = fmax(worst, fabs((double)slope[i] - mega_act_slope(act, v)));
    }
    return worst;
}

static void acts_and_slopes_are_within_5e_7(void **state)
{
    (void)state;
    static float x[N];
    EACH_ISA(rows) for (int act = MEGA_ACT_LINEAR; act <= MEGA_ACT_SIGMOID; act++)
    {
        spread(x, -6, 6);
        assert_below(worst_act(rows, (enum mega_act)act, x), 5e-7);
        spread(x, -200, 200);
        assert_below(worst_act(rows, (enum mega_act)act, x), 5e-7);
    }
}

static double sigmoid(double x)
{
    return mega_act(MEGA_ACT_SIGMOID, x);
}

static void sigmoid_is_within_3_ulp_also_where_it_is_small(void **state)
{
    (void)state;
    static float x[N], y[N];
    spread(x, -80, 80);
    EACH_ISA(rows)
    {
        rows->act(MEGA_ACT_SIGMOID, y, x, NULL, N);
        double worst = 0;
        for (int i = 0; i < N; i++) {
            double want = sigmoid((double)x[i]);
            worst = fmax(worst, fabs((double)y[i] - want) / ulp(want));
        }
        assert_below(worst, 3);
    }
}

static double laplace(double s)
{
    return 0.5 * (1 + erf((s - 0.707107) / (0.282095 * sqrt(2))));
}

static void attention_functions_are_within_1e_6(void **state)
{
    (void)state;
    static float x[N], y[N], one[N];
    spread(x, -5, 5);
    for (int i = 0; i < N; i++) one[i] = 1;
    EACH_ISA(rows)
    {
        double worst = 0;
        rows->laplace(y, x, N);
        for (int i = 0; i < N; i++)
            worst = fmax(worst, fabs((double)y[i] - laplace((double)x[i])));
        assert_below(worst, 5e-7);
        rows->laplace_slope(y, one, x, N);
        for (int i = 0; i < N; i++) {
            double z = ((double)x[i] - 0.707107) / 0.282095;
            worst = fmax(
                worst, fabs((double)y[i] - exp(-z * z / 2) / (0.282095 * sqrt(2 * acos(-1)))));
        }
        assert_below(worst, 1e-6);
        rows->relu2(y, x, N);
        for (int i = 0; i < N; i++) assert_true(y[i] == (x[i] > 0 ? x[i] * x[i] : 0));
        rows->relu2_slope(y, one, x, N);
        for (int i = 0; i < N; i++) assert_true(y[i] == (x[i] > 0 ? 2 * x[i] : 0));
    }
}

static void every_length_is_exact_and_touches_nothing_beyond(void **state)
{
    (void)state;
    float x[71], y[73], bias[71];
    for (int i = 0; i < 71; i++) {
        x[i] = (float)((i * 37) % 23) - 11;
        bias[i] = 0.25f * (float)i;
    }
    EACH_ISA(rows) for (int64_t n = 0; n <= 71; n++)
    {
        double sum = 0, exps = 0, dot = 0;
        float most = -INFINITY;
        for (int i = 0; i < n; i++) {
            sum += (double)x[i];
            dot += (double)(x[i] * bias[i]);
            exps += exp((double)x[i] - 11);
            most = fmaxf(most, x[i]);
        }
        assert_true(rows->most(x, n) == most);
        assert_true(fabs((double)rows->sum(x, n) - sum) < 1e-4);
        assert_true(fabs((double)rows->dot(x, bias, n) - dot) < 1e-2);
        for (int i = 0; i < 73; i++) y[i] = 77;
        assert_true(fabs((double)rows->exp_sum(y + 1, x, 11, n) - exps) < 1e-5);
        assert_true(y[0] == 77 && y[n + 1] == 77);
        rows->act(MEGA_ACT_RELU, y + 1, x, bias, n);
        for (int i = 0; i < n; i++) assert_true(y[i + 1] == fmaxf(x[i] + bias[i], 0));
        rows->scale(y + 1, x, 3, n);
        rows->add_scaled(y + 1, bias, 2, n);
        for (int i = 0; i < n; i++) assert_true(y[i + 1] == 3 * x[i] + 2 * bias[i]);
        rows->multiply(y + 1, y + 1, x, n);
        for (int i = 0; i < n; i++) assert_true(y[i + 1] == (3 * x[i] + 2 * bias[i]) * x[i]);
        assert_true(y[0] == 77 && y[n + 1] == 77);
    }
}

static void draws_are_those_of_the_scalar_generator(void **state)
{
    (void)state;
    enum { SHORT = 137 };
    uint64_t key = 0x123456789ABCDEFu;
    double p = 0.3;
    EACH_ISA(rows) for (int64_t first = 0; first < 21; first++)
    {
        float y[SHORT + 2];
        for (int64_t n = 0; n <= SHORT; n += first % 4 ? 31 : 1) {
            y[0] = y[n + 1] = 77;
            struct mega_draw_row d = mega_draw_channels(key, 5000000011, 1 << 20, p);
            rows->draw(y + 1, &d, first, n);
            for (int64_t i = 0; i < n; i++) {
                int64_t channel = first + i;
                double want = mega_draw(key, mega_draw_low(1 << 20),
                    mega_draw_high(5000000011, channel / 4), channel, p);
                assert_true(y[i + 1] == (float)want);
            }
            d = mega_draw_keys(key, 3, 2, 70001, p);
            rows->draw(y + 1, &d, first, n);
            for (int64_t i = 0; i < n; i++) {
                int64_t k = first + i;
                double want = mega_draw(key, mega_draw_weights_low(70001, k / 4),
                    mega_draw_weights_high(3, 2), k, p);
                assert_true(y[i + 1] == (float)want);
            }
            assert_true(y[0] == 77 && y[n + 1] == 77);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_1_ulp),
        cmocka_unit_test(log_is_within_1_ulp),
        cmocka_unit_test(tanh_and_erf_are_within_3_ulp),
        cmocka_unit_test(specials_go_where_they_should),
        cmocka_unit_test(a_nan_with_any_bits_stays_one),
        cmocka_unit_test(acts_and_slopes_are_within_5e_7),
        cmocka_unit_test(sigmoid_is_within_3_ulp_also_where_it_is_small),
        cmocka_unit_test(attention_functions_are_within_1e_6),
        cmocka_unit_test(every_length_is_exact_and_touches_nothing_beyond),
        cmocka_unit_test(draws_are_those_of_the_scalar_generator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
