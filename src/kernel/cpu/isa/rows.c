/* rows.h on vectors. */
#include "kernel/cpu/rows.h"

#include "kernel/cpu/vector_draw.h"
#include "kernel/cpu/vector_half.h"
#include "kernel/cpu/vector_math.h"

/* y = f(x) along a row */
#define MAP(name, f)                                                                           \
    static void name(float *y, const float *x, int64_t n)                                      \
    {                                                                                          \
        for (int64_t j = 0; j < n; j += VEC) vec_put(y + j, f(vec_get(x + j, n - j)), n - j);  \
    }

/* dx = dy * slope(x) along a row */
#define MAP_SLOPE(name, slope)                                                                 \
    static void name(float *dx, const float *dy, const float *x, int64_t n)                    \
    {                                                                                          \
        for (int64_t j = 0; j < n; j += VEC)                                                   \
            vec_put(dx + j, vec_get(dy + j, n - j) * slope(vec_get(x + j, n - j)), n - j);     \
    }

MAP(row_exp, vec_exp)
MAP(row_log, vec_log)
MAP(row_tanh, vec_tanh)
MAP(row_erf, vec_erf)
MAP(row_laplace, vec_laplace)
MAP(row_relu2, vec_relu2)
MAP_SLOPE(row_laplace_slope, vec_laplace_slope)
MAP_SLOPE(row_relu2_slope, vec_relu2_slope)

VEC_INLINE vec plus_bias(const float *x, const float *bias, int64_t j, int64_t n)
{
    vec v = vec_get(x + j, n - j);
    return bias ? v + vec_get(bias + j, n - j) : v;
}

static void row_act(enum mega_act act, float *y, const float *x, const float *bias, int64_t n)
{
#define LOOP(a)                                                                                \
    for (int64_t j = 0; j < n; j += VEC)                                                       \
    vec_put(y + j, vec_act(a, plus_bias(x, bias, j, n)), n - j)
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

static void row_act_slope(
    enum mega_act act, float *dx, const float *dy, const float *x, const float *bias, int64_t n)
{
#define LOOP(a)                                                                                \
    for (int64_t j = 0; j < n; j += VEC)                                                       \
    vec_put(dx + j, vec_get(dy + j, n - j) * vec_act_jet(a, plus_bias(x, bias, j, n)).slope,   \
        n - j)
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

static void row_act_both(enum mega_act act, float *y, float *dx, const float *dy,
    const float *x, const float *bias, int64_t n)
{
#define LOOP(a)                                                                                \
    for (int64_t j = 0; j < n; j += VEC) {                                                     \
        struct vec_jet f = vec_act_jet(a, plus_bias(x, bias, j, n));                           \
        vec d = vec_get(dy + j, n - j) * f.slope;                                              \
        vec_put(y + j, f.value, n - j);                                                        \
        vec_put(dx + j, d, n - j);                                                             \
    }
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

static float row_most(const float *x, int64_t n)
{
    vec most = vec_all(-INFINITY);
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) most = vec_max(most, vec_load(x + j));
    float all = vec_most(most);
    for (; j < n; j++) all = x[j] > all ? x[j] : all;
    return all;
}

static float row_exp_sum(float *y, const float *x, float most, int64_t n)
{
    vec sum = { 0 };
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        vec e = vec_exp(vec_load(x + j) - most);
        vec_store(y + j, e);
        sum += e;
    }
    float all = vec_sum(sum);
    if (j == n) return all;
    vec_store_part(y + j, vec_exp(vec_load_part(x + j, n - j) - most), n - j);
    for (; j < n; j++) all += y[j];
    return all;
}

static void row_softmax_slope(float *dx, const float *dy, const float *y, float mean, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(dx + j, vec_get(y + j, n - j) * (vec_get(dy + j, n - j) - mean), n - j);
}

static float row_sum(const float *x, int64_t n)
{
    vec sum = { 0 };
    for (int64_t j = 0; j < n; j += VEC) sum += vec_get(x + j, n - j);
    return vec_sum(sum);
}

static float row_dot(const float *x, const float *y, int64_t n)
{
    vec sum = { 0 };
    for (int64_t j = 0; j < n; j += VEC) sum += vec_get(x + j, n - j) * vec_get(y + j, n - j);
    return vec_sum(sum);
}

static void row_scale(float *y, const float *x, float by, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) vec_put(y + j, by * vec_get(x + j, n - j), n - j);
}

static void row_add_scaled(float *y, const float *x, float by, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(y + j, vec_get(y + j, n - j) + by * vec_get(x + j, n - j), n - j);
}

static void row_add_rows(float *y, const float *x, int64_t stride, int64_t m, int64_t n)
{
    enum { AT_ONCE = 4 }; /* vectors, so that their sums need not wait for one another */
    int64_t j = 0;
    for (; j + AT_ONCE * VEC <= n; j += AT_ONCE * VEC) {
        vec sum[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) sum[i] = vec_load(y + j + i * VEC);
        for (int64_t r = 0; r < m; r++)
            for (int i = 0; i < AT_ONCE; i++) sum[i] += vec_load(x + r * stride + j + i * VEC);
        for (int i = 0; i < AT_ONCE; i++) vec_store(y + j + i * VEC, sum[i]);
    }
    for (; j < n; j += VEC) {
        vec sum = vec_get(y + j, n - j);
        for (int64_t r = 0; r < m; r++) sum += vec_get(x + r * stride + j, n - j);
        vec_put(y + j, sum, n - j);
    }
}

static void row_multiply(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(y + j, vec_get(a + j, n - j) * vec_get(b + j, n - j), n - j);
}

static void row_widen(float *y, const uint16_t *x, int64_t n)
{
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) vec_store(y + j, vec_widen_load(x + j));
    for (; j < n; j++) y[j] = mega_from_bf16(x[j]);
}

static void row_narrow(uint16_t *y, const float *x, int64_t n)
{
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) vec_narrow_store(y + j, vec_load(x + j));
    for (; j < n; j++) y[j] = mega_to_bf16(x[j]);
}

static void row_narrow_add(uint16_t *y, const float *x, int64_t n)
{
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC)
        vec_narrow_store(y + j, vec_widen_load(y + j) + vec_load(x + j));
    for (; j < n; j++) y[j] = mega_to_bf16(mega_from_bf16(y[j]) + x[j]);
}

static void row_draw(float *factor, const struct mega_draw_row *d, int64_t first, int64_t n)
{
    vec_draw_row(factor, d, first, n);
}

extern const struct mega_cpu_rows MEGA_ISA_NAME(mega_cpu_rows);
const struct mega_cpu_rows MEGA_ISA_NAME(mega_cpu_rows) = {
    .exp = row_exp,
    .log = row_log,
    .tanh = row_tanh,
    .erf = row_erf,
    .act = row_act,
    .act_slope = row_act_slope,
    .act_both = row_act_both,
    .most = row_most,
    .exp_sum = row_exp_sum,
    .softmax_slope = row_softmax_slope,
    .laplace = row_laplace,
    .laplace_slope = row_laplace_slope,
    .relu2 = row_relu2,
    .relu2_slope = row_relu2_slope,
    .sum = row_sum,
    .dot = row_dot,
    .scale = row_scale,
    .add_scaled = row_add_scaled,
    .multiply = row_multiply,
    .add_rows = row_add_rows,
    .widen = row_widen,
    .narrow = row_narrow,
    .narrow_add = row_narrow_add,
    .draw = row_draw,
};
