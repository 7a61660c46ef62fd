/* Vectors of float32 for the files of isa/, each compiled once for every instruction set: VEC
 * lanes, 4, 8 or 16.
 *
 * Arithmetic and comparisons are C's own on GNU vector types; a comparison gives all ones or
 * all zeros a lane. A number beside a vector counts for every lane (write 2.0f, not 2.0). */
#ifndef MEGA_KERNEL_CPU_VECTOR_H
#define MEGA_KERNEL_CPU_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* name_avx2: what a file of isa/ calls its outward names. */
#define MEGA_ISA_PASTE_(name, isa) name##_##isa
#define MEGA_ISA_PASTE(name, isa) MEGA_ISA_PASTE_(name, isa)
#define MEGA_ISA_NAME(name) MEGA_ISA_PASTE(name, MEGA_ISA)
#define MEGA_ISA_QUOTE_(isa) #isa
#define MEGA_ISA_QUOTE(isa) MEGA_ISA_QUOTE_(isa)
#define MEGA_ISA_TEXT MEGA_ISA_QUOTE(MEGA_ISA) /* "avx2" */

#if defined(MEGA_ISA_avx512)
enum { VEC = 16 };
#elif defined(MEGA_ISA_avx2)
enum { VEC = 8 };
#else
enum { VEC = 4 };
#endif

typedef float vec __attribute__((vector_size(VEC * 4)));
typedef int32_t ivec __attribute__((vector_size(VEC * 4)));
typedef uint32_t uvec __attribute__((vector_size(VEC * 4)));
typedef uint64_t wvec __attribute__((vector_size(VEC * 4))); /* VEC / 2 lanes of 64 bits */

/* for bodies that take a constant which must be gone from their loops */
#define VEC_INLINE static inline __attribute__((always_inline))

/* ---- memory: any address that a float may have ---- */

VEC_INLINE vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

VEC_INLINE void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

#if defined(MEGA_ISA_avx2) && !defined(MEGA_ISA_avx512)
/* ones in the first n lanes */
static inline __m256i vec_first_lanes(int64_t n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}
#endif

/* The first n lanes, 0 <= n < VEC, zeros behind them; nothing beyond is read. */
static inline vec vec_load_part(const float *p, int64_t n)
{
#if defined(MEGA_ISA_avx512)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(MEGA_ISA_avx2)
    return (vec)_mm256_maskload_ps(p, vec_first_lanes(n));
#else
    vec v = { 0 };
    for (int i = 0; i < VEC; i++)
        if (i < n) v[i] = p[i];
    return v;
#endif
}

/* Stores the first n lanes, 0 <= n < VEC, and touches nothing beyond. */
static inline void vec_store_part(float *p, vec v, int64_t n)
{
#if defined(MEGA_ISA_avx512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(MEGA_ISA_avx2)
    _mm256_maskstore_ps(p, vec_first_lanes(n), (__m256)v);
#else
    for (int i = 0; i < VEC; i++)
        if (i < n) p[i] = v[i];
#endif
}

/* One step of a loop `for (j = 0; j < n; j += VEC)` at p + j with `left` = n - j, whole or the
 * row's last part. */
VEC_INLINE vec vec_get(const float *p, int64_t left)
{
    return left >= VEC ? vec_load(p) : vec_load_part(p, left);
}

VEC_INLINE void vec_put(float *p, vec v, int64_t left)
{
    if (left >= VEC)
        vec_store(p, v);
    else
        vec_store_part(p, v, left);
}

/* ---- lanes ---- */

VEC_INLINE vec vec_all(float x)
{
    return x - (vec){ 0 };
}

/* a where the mask has ones, else b */
VEC_INLINE vec vec_select(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* x where the mask has ones, else 0 */
VEC_INLINE vec vec_where(ivec mask, vec x)
{
    return (vec)(mask & (ivec)x);
}

/* A bit for every lane of the mask that has ones. */
VEC_INLINE uint32_t vec_bits(ivec mask)
{
#if defined(MEGA_ISA_avx512)
    return _mm512_movepi32_mask((__m512i)mask);
#elif defined(MEGA_ISA_avx2)
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#elif defined(__SSE2__)
    return (uint32_t)_mm_movemask_ps((__m128)mask);
#else
    uint32_t bits = 0;
    for (int i = 0; i < VEC; i++) bits |= (uint32_t)(mask[i] & 1) << i;
    return bits;
#endif
}

/* The larger; b where one is not a number. */
VEC_INLINE vec vec_max(vec a, vec b)
{
#if defined(MEGA_ISA_avx512)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(MEGA_ISA_avx2)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps((__m128)a, (__m128)b);
#else
    return vec_select(a > b, a, b);
#endif
}

/* The smaller; b where one is not a number. */
VEC_INLINE vec vec_min(vec a, vec b)
{
#if defined(MEGA_ISA_avx512)
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(MEGA_ISA_avx2)
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vec)_mm_min_ps((__m128)a, (__m128)b);
#else
    return vec_select(a < b, a, b);
#endif
}

/* 1 / x for 2^-126 <= x <= 2^126, 1 ulp */
VEC_INLINE vec vec_reciprocal(vec x)
{
#if defined(MEGA_ISA_avx512)
    vec r = (vec)_mm512_rcp14_ps((__m512)x);
    return r + r * (1.0f - x * r);
#else
    return 1.0f / x;
#endif
}

VEC_INLINE vec vec_abs(vec x)
{
    return (vec)((ivec)x & 0x7FFFFFFF);
}

/* x with its sign turned where `sign` is negative */
VEC_INLINE vec vec_turn(vec x, vec sign)
{
    return (vec)((ivec)x ^ ((ivec)sign & ~0x7FFFFFFF));
}

/* lane i of the result is lane from[i] of a, or beyond a's last one of b */
VEC_INLINE vec vec_pick(vec a, vec b, ivec from)
{
#if defined(__clang__)
    vec v;
    for (int i = 0; i < VEC; i++) v[i] = from[i] < VEC ? a[from[i]] : b[from[i] - VEC];
    return v;
#else
    return __builtin_shuffle(a, b, from);
#endif
}

/* Lane i of the result is table[at[i]]; the table holds VEC numbers, 8 at least, and at counts
 * up to 7. */
VEC_INLINE vec vec_look(const float *table, ivec at)
{
#if defined(MEGA_ISA_avx512)
    return (vec)_mm512_permutexvar_ps((__m512i)at, (__m512)vec_load(table));
#elif defined(MEGA_ISA_avx2)
    return (vec)_mm256_permutevar8x32_ps((__m256)vec_load(table), (__m256i)at);
#else
    vec v;
    for (int i = 0; i < VEC; i++) v[i] = table[at[i]];
    return v;
#endif
}

/* lane i of the result is lane i + half of v, for i < half */
VEC_INLINE vec vec_upper(vec v, int half)
{
    ivec from;
    for (int i = 0; i < VEC; i++) from[i] = (i + half) % VEC;
    return vec_pick(v, v, from);
}

/* Over all lanes, by halves: one fixed order. */
VEC_INLINE float vec_sum(vec v)
{
    _Pragma("GCC unroll 4") for (int half = VEC / 2; half; half /= 2) v += vec_upper(v, half);
    return v[0];
}

VEC_INLINE float vec_most(vec v)
{
    _Pragma("GCC unroll 4") for (int half = VEC / 2; half; half /= 2) v =
        vec_max(vec_upper(v, half), v);
    return v[0];
}

#endif
