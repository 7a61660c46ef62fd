/* exp and its relatives on vectors of float32, as polynomials.
 *
 * Error bounds are in units in the last place (ulp) against the exact result, or absolute. Not
 * a number stays so everywhere. test/kernel/vector_test.c holds every function to its bound on
 * every instruction set. */
#ifndef MEGA_KERNEL_CPU_VECTOR_MATH_H
#define MEGA_KERNEL_CPU_VECTOR_MATH_H

#include "kernel/cpu/vector.h"
#include "op/contracts.h"

/* c[0] + c[1] x + ... for a constant table */
#define VEC_POLYNOMIAL(x, c) vec_polynomial(x, c, (int)(sizeof(c) / sizeof *(c)))
VEC_INLINE vec vec_polynomial(vec x, const float *c, int n)
{
    vec sum = vec_all(c[n - 1]);
    for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/* exp(x) = (1 + fraction) 2^power; power is a whole number, also in the low bits of `shifted`
 */
struct vec_exp_parts {
    vec fraction, power, shifted;
};

VEC_INLINE struct vec_exp_parts vec_exp_split(vec x)
{
    /* adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits */
    const float to_whole = 12582912.0f;
    const float high = 0.693359375f, low = -2.12194440e-4f; /* log 2 in two pieces */
    static const float c[] = { 0.49999994f, 0.166665211f, 0.041668389f, 0.00836872961f,
        0.00138145697f };
    vec shifted = x * 1.44269504f + to_whole;
    vec n = shifted - to_whole, r = x - n * high - n * low;
    return (struct vec_exp_parts){ r * r * VEC_POLYNOMIAL(r, c) + r, n, shifted };
}

/* 2^n for -126 <= n <= 127, from what n + 1.5 * 2^23 has in its low bits; unsigned: beyond the
 * range of exp the difference wraps, and the caller gives no use to it */
VEC_INLINE vec vec_power_of_2(vec shifted)
{
    return (vec)(((uvec)shifted - (0x4B400000u - 127u)) << 23);
}

/* least x whose exponential is not below 2^-125: results beneath are given as 0 */
#define VEC_EXP_LEAST (-86.6434f)

/* exp(x) for x <= 87, 1 ulp; 0 below -86.6434. */
VEC_INLINE vec vec_exp_down(vec x)
{
    struct vec_exp_parts e = vec_exp_split(x);
#if defined(MEGA_ISA_avx512)
    __mmask16 in = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(VEC_EXP_LEAST), _CMP_NLT_UQ);
    return (vec)_mm512_maskz_scalef_ps(in, (__m512)(1.0f + e.fraction), (__m512)e.power);
#else
    vec scale = vec_power_of_2(e.shifted);
    return vec_where(~(x < VEC_EXP_LEAST), scale + scale * e.fraction);
#endif
}

/* exp(x), 1 ulp; 0 below -86.6434, infinite above 88.7228. */
VEC_INLINE vec vec_exp(vec x)
{
#if defined(MEGA_ISA_avx512)
    return vec_exp_down(vec_min(vec_all(100), x));
#else
    struct vec_exp_parts e = vec_exp_split(x);
    vec half = vec_power_of_2(e.shifted - 1.0f), y = half + half * e.fraction;
    y = vec_where(~(x < VEC_EXP_LEAST), y + y);
    return vec_select(x > 88.722836f, vec_all(INFINITY), y);
#endif
}

/* log(2^-add x), 1 ulp, from the bits of a number x that is neither tiny nor infinite */
VEC_INLINE vec vec_log_bits(ivec bits, ivec add)
{
    static const float c[] = { 0.333333135f, -0.250000089f, 0.200021192f, -0.166679949f,
        0.142195538f, -0.124055952f, 0.118881606f, -0.116756141f, 0.0674659833f };
    /* x = m 2^n with m in [sqrt(1/2), sqrt(2)); unsigned, as negative x wrap, and end as NaN */
    ivec n = (ivec)((uvec)bits - 0x3F3504F3u) >> 23;
    vec f = (vec)((uvec)bits - ((uvec)n << 23)) - 1.0f, square = f * f;
    vec power = __builtin_convertvector(n - add, vec);
    vec y = f * square * VEC_POLYNOMIAL(f, c) + power * -2.12194440e-4f - 0.5f * square;
    return y + f + power * 0.693359375f;
}

/* log(x) for 2^-126 <= x < infinity, 1 ulp. */
VEC_INLINE vec vec_log_normal(vec x)
{
    return vec_log_bits((ivec)x, (ivec){ 0 });
}

/* log(x), 1 ulp; log(0) is -infinity, of negative numbers not a number. */
static inline vec vec_log(vec x)
{
    ivec tiny = x < 0x1p-126f;
    vec y = vec_log_bits((ivec)vec_select(tiny, x * 0x1p23f, x), tiny & 23);
    y = vec_select(x == 0.0f, vec_all(-INFINITY), y);
    y = vec_select(x >= 0.0f, y, vec_all(NAN));
    return vec_select(x == INFINITY, x, y);
}

/* 1 / (1 + exp(-x)), 3 ulp; 1.6e-38 below -87. */
VEC_INLINE vec vec_sigmoid(vec x)
{
    return vec_reciprocal(1.0f + vec_exp_down(vec_min(vec_all(87), -x)));
}

/* A function's value and its derivative at one place. */
struct vec_jet {
    vec value, slope;
};

/* Slope to 4 ulp: sigmoid(x) (1 - sigmoid(x)) without a difference. */
VEC_INLINE struct vec_jet vec_sigmoid_jet(vec x)
{
    vec e = vec_exp_down(vec_min(vec_all(87), -x)), r = vec_reciprocal(1.0f + e);
    return (struct vec_jet){ r, e * r * r };
}

/* x sigmoid(x), 4 ulp. */
VEC_INLINE vec vec_silu(vec x)
{
    return x * vec_sigmoid(x);
}

/* Slope to 3e-7. */
VEC_INLINE struct vec_jet vec_silu_jet(vec x)
{
    struct vec_jet s = vec_sigmoid_jet(x);
    return (struct vec_jet){ x * s.value, s.value + x * s.slope };
}

/* tanh(x) for |x| = a < 0.625, without its sign */
VEC_INLINE vec vec_tanh_near(vec a)
{
    static const float c[] = { -0.333332807f, 0.133314431f, -0.0537397526f, 0.0206392184f,
        -0.00570514007f };
    vec square = a * a;
    return a + a * square * VEC_POLYNOMIAL(square, c);
}

/* tanh(x), 3 ulp. */
VEC_INLINE vec vec_tanh(vec x)
{
    vec a = vec_abs(x), e = vec_exp_down(-2.0f * a), far = (1.0f - e) / (1.0f + e);
    return vec_turn(vec_select(a < 0.625f, vec_tanh_near(a), far), x);
}

/* Slope to 4 ulp: 1 - tanh(x)^2 without a difference. */
VEC_INLINE struct vec_jet vec_tanh_jet(vec x)
{
    vec e = vec_exp_down(-2.0f * vec_abs(x)), sum = 1.0f + e;
    return (struct vec_jet){ vec_tanh(x), 4.0f * e / (sum * sum) };
}

/* tanh(x), fast where all lanes are below 0.625. */
VEC_INLINE vec vec_tanh_often_small(vec x)
{
    vec a = vec_abs(x);
    return vec_bits(~(a < 0.625f)) ? vec_tanh(x) : vec_turn(vec_tanh_near(a), x);
}

/* erf(x), 3 ulp: near 0 a polynomial, elsewhere 1 - exp(-polynomial). */
VEC_INLINE vec vec_erf(vec x)
{
    /* erf(x) / x - 1 in x^2, and -log(1 - erf(x)) in x */
    static const float c_near[] = { 0.128379152f, -0.376124918f, 0.11281804f, -0.026766276f,
        0.00499277003f, -0.000598905026f };
    static const float c_far[] = { 0.000195678876f, 1.12767565f, 0.637182295f, 0.103931576f,
        -0.0222269073f, 0.00304321409f, -0.000195936882f };
    vec a = vec_abs(x), square = a * a, near = a + a * VEC_POLYNOMIAL(square, c_near);
    vec bounded = vec_select(a > 3.95f, vec_all(3.95f), a);
    vec far = 1.0f - vec_exp_down(-VEC_POLYNOMIAL(bounded, c_far));
    return vec_turn(vec_select(a < 0.92f, near, far), x);
}

/* ---- the pointwise functions of contracts.h, to 5e-7 of max(1, |x|) ---- */

#define VEC_ROOT_HALF 0.707106781f
#define VEC_ROOT_2_OVER_PI 0.797884561f

VEC_INLINE struct vec_jet vec_gelu_jet(vec x)
{
    vec below = 0.5f + 0.5f * vec_erf(x * VEC_ROOT_HALF); /* the normal distribution */
    vec density = 0.5f * VEC_ROOT_2_OVER_PI * vec_exp_down(-0.5f * x * x);
    return (struct vec_jet){ x * below, below + x * density };
}

VEC_INLINE struct vec_jet vec_gelu_tanh_jet(vec x)
{
    /* (1 + tanh(i)) / 2 = sigmoid(2 i), whose slope needs no difference */
    vec inside = 2 * VEC_ROOT_2_OVER_PI * (x + 0.044715f * x * x * x);
    vec slope = 2 * VEC_ROOT_2_OVER_PI * (1.0f + 3 * 0.044715f * x * x);
    struct vec_jet below = vec_sigmoid_jet(inside);
    return (struct vec_jet){ x * below.value, below.value + x * below.slope * slope };
}

/* act(x); `act` should be a constant in a loop. */
VEC_INLINE vec vec_act(enum mega_act act, vec x)
{
    switch (act) {
    case MEGA_ACT_LINEAR: return x;
    case MEGA_ACT_RELU: return vec_where(~(x <= 0.0f), x);
    case MEGA_ACT_GELU: return 0.5f * x * (1.0f + vec_erf(x * VEC_ROOT_HALF));
    case MEGA_ACT_GELU_TANH: return vec_gelu_tanh_jet(x).value;
    case MEGA_ACT_SILU: return vec_silu(x);
    case MEGA_ACT_SIGMOID: return vec_sigmoid(x);
    case MEGA_ACT_RELU2: {
        vec on = vec_where(~(x <= 0.0f), x);
        return on * on;
    }
    case MEGA_ACT_TANH: return vec_tanh(x);
    }
    return x;
}

/* act(x) and act'(x). */
VEC_INLINE struct vec_jet vec_act_jet(enum mega_act act, vec x)
{
    switch (act) {
    case MEGA_ACT_LINEAR: break;
    case MEGA_ACT_RELU: {
        ivec on = x > 0.0f;
        return (struct vec_jet){ vec_act(act, x), vec_where(on, vec_all(1)) };
    }
    case MEGA_ACT_GELU: return vec_gelu_jet(x);
    case MEGA_ACT_GELU_TANH: return vec_gelu_tanh_jet(x);
    case MEGA_ACT_SILU: return vec_silu_jet(x);
    case MEGA_ACT_SIGMOID: return vec_sigmoid_jet(x);
    case MEGA_ACT_RELU2: {
        vec on = vec_where(~(x <= 0.0f), x);
        return (struct vec_jet){ on * on, 2.0f * on };
    }
    case MEGA_ACT_TANH: return vec_tanh_jet(x);
    }
    return (struct vec_jet){ x, vec_all(1) };
}

/* ---- attention functions (op/attention.c), to 5e-7 ---- */

#define VEC_LAPLACE_MU 0.707107f
#define VEC_LAPLACE_SIGMA 0.282095f

/* (s - mu) / (sigma sqrt 2) */
VEC_INLINE vec vec_laplace_inside(vec s)
{
    return (s - VEC_LAPLACE_MU) * (VEC_ROOT_HALF / VEC_LAPLACE_SIGMA);
}

VEC_INLINE vec vec_laplace(vec s)
{
    return 0.5f + 0.5f * vec_erf(vec_laplace_inside(s));
}

VEC_INLINE vec vec_laplace_slope(vec s)
{
    vec z = vec_laplace_inside(s);
    return (0.398942280f / VEC_LAPLACE_SIGMA) * vec_exp_down(-z * z);
}

VEC_INLINE vec vec_relu2(vec s)
{
    return vec_act(MEGA_ACT_RELU2, s);
}

VEC_INLINE vec vec_relu2_slope(vec s)
{
    return 2.0f * vec_act(MEGA_ACT_RELU, s);
}

/* Calls body(act) with a constant: loops inside it are compiled once for each function. */
#define VEC_EACH_ACT(act, body)                                                                \
    switch (act) {                                                                             \
    case MEGA_ACT_LINEAR: body(MEGA_ACT_LINEAR); break;                                        \
    case MEGA_ACT_RELU: body(MEGA_ACT_RELU); break;                                            \
    case MEGA_ACT_GELU: body(MEGA_ACT_GELU); break;                                            \
    case MEGA_ACT_GELU_TANH: body(MEGA_ACT_GELU_TANH); break;                                  \
    case MEGA_ACT_SILU: body(MEGA_ACT_SILU); break;                                            \
    case MEGA_ACT_SIGMOID: body(MEGA_ACT_SIGMOID); break;                                      \
    case MEGA_ACT_RELU2: body(MEGA_ACT_RELU2); break;                                          \
    case MEGA_ACT_TANH: body(MEGA_ACT_TANH); break;                                            \
    }

#endif
