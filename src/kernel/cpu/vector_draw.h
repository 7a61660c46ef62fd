/* The draws of op/draw.h on vectors: the same bits as the scalar ones.
 *
 * Lanes are Philox blocks. One round of vec_draw_words gives the words of VEC / 2 neighbouring
 * blocks, that is 2 VEC neighbouring channels or keys, in their order. */
#ifndef MEGA_KERNEL_CPU_VECTOR_DRAW_H
#define MEGA_KERNEL_CPU_VECTOR_DRAW_H

#include "kernel/cpu/rows.h"
#include "kernel/cpu/vector.h"

/* products of the low halves of 64-bit lanes with m */
VEC_INLINE wvec vec_draw_product(wvec a, uint32_t m)
{
#if defined(MEGA_ISA_avx512)
    return (wvec)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif defined(MEGA_ISA_avx2)
    return (wvec)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(m));
#elif defined(__SSE2__)
    return (wvec)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(m));
#else
    return (a & 0xFFFFFFFFu) * (uint64_t)m;
#endif
}

/* 64-bit lanes a0 b0 a1 b1 ... */
VEC_INLINE void vec_draw_interleave(wvec a, wvec b, uvec out[2])
{
#if defined(MEGA_ISA_avx512)
    out[0] = (uvec)__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    out[1] = (uvec)__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif defined(MEGA_ISA_avx2)
    out[0] = (uvec)__builtin_shufflevector(a, b, 0, 4, 1, 5);
    out[1] = (uvec)__builtin_shufflevector(a, b, 2, 6, 3, 7);
#else
    out[0] = (uvec)__builtin_shufflevector(a, b, 0, 2);
    out[1] = (uvec)__builtin_shufflevector(a, b, 1, 3);
#endif
}

/* Words 0 ... 2 VEC - 1 from block `block` of the row on. Philox as in base/rng.c; only the low
 * half of a lane counts until the end. */
VEC_INLINE void vec_draw_words(const struct mega_draw_row *d, int64_t block, uvec out[2])
{
    wvec number;
    for (int i = 0; i < VEC / 2; i++) number[i] = (uint64_t)(block + i);
    wvec none = { 0 };
    wvec c0 = none + (uint32_t)d->low, c1 = none + (uint32_t)(d->low >> 32);
    wvec c2 = none + (uint32_t)d->high, c3 = none + (uint32_t)(d->high >> 32);
    if (d->low_moves)
        c0 |= number;
    else
        c2 |= number;
    uint32_t k0 = (uint32_t)d->key, k1 = (uint32_t)(d->key >> 32);
    for (int round = 0; round < 10; round++) {
        wvec a = vec_draw_product(c0, 0xD2511F53u), b = vec_draw_product(c2, 0xCD9E8D57u);
        c0 = (b >> 32) ^ c1 ^ (uint64_t)k0;
        c2 = (a >> 32) ^ c3 ^ (uint64_t)k1;
        c1 = b;
        c3 = a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    vec_draw_interleave((c0 & 0xFFFFFFFFu) | (c1 << 32), (c2 & 0xFFFFFFFFu) | (c3 << 32), out);
}

/* Factors (0 or scale) of the 2 VEC channels or keys from 4 * block on. */
VEC_INLINE void vec_draw_factors(const struct mega_draw_row *d, int64_t block, vec out[2])
{
    uvec word[2];
    vec_draw_words(d, block, word);
    for (int i = 0; i < 2; i++)
        out[i] = vec_where((ivec)(word[i] >= d->threshold), vec_all(d->scale));
}

/* Factors of elements first ... first + n - 1; `first` need not be a multiple of four. */
static inline void vec_draw_row(
    float *out, const struct mega_draw_row *d, int64_t first, int64_t n)
{
    enum { STEP = 2 * VEC };
    for (int64_t i = -(first & 3); i < n; i += STEP) {
        vec f[2];
        vec_draw_factors(d, (first + i) / 4, f);
        if (i >= 0 && n - i >= STEP) {
            vec_store(out + i, f[0]);
            vec_store(out + i + VEC, f[1]);
            continue;
        }
        float all[STEP];
        vec_store(all, f[0]);
        vec_store(all + VEC, f[1]);
        int64_t from = i < 0 ? -i : 0, to = n - i < STEP ? n - i : STEP;
        for (int64_t j = from; j < to; j++) out[i + j] = all[j];
    }
}

#endif
