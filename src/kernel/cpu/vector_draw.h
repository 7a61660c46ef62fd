/* The draws of op/draw.h on vectors: the same bits as the scalar ones.
 *
 * Lanes are Philox blocks. One turn of vec_draw_words gives the words of VEC neighbouring
 * blocks, that is 4 VEC neighbouring channels or keys, in their order: two vectors of blocks at
 * a time, because each waits long for its own products. */
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

/* A row of draws made ready: counters and the keys of all rounds in every lane. */
struct vec_draw {
    wvec c0, c1, c2, c3;
    wvec key[20];
    bool low_moves;
    uint32_t threshold;
    float scale;
};

VEC_INLINE void vec_draw_begin(struct vec_draw *v, const struct mega_draw_row *d)
{
    wvec none = { 0 }, number;
    for (int i = 0; i < VEC / 2; i++) number[i] = (uint64_t)i;
    v->c0 = (uint32_t)d->low + (d->low_moves ? number : none);
    v->c1 = (uint32_t)(d->low >> 32) + none;
    v->c2 = (uint32_t)d->high + (d->low_moves ? none : number);
    v->c3 = (uint32_t)(d->high >> 32) + none;
    v->low_moves = d->low_moves;
    v->threshold = d->threshold;
    v->scale = d->scale;
    uint32_t k0 = (uint32_t)d->key, k1 = (uint32_t)(d->key >> 32);
    for (int round = 0; round < 10; round++) {
        v->key[2 * round] = k0 + none;
        v->key[2 * round + 1] = k1 + none;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Words 0 ... 4 VEC - 1 from block `block` of the row on. Philox as in base/rng.c; only the low
 * half of a lane counts until the end. */
VEC_INLINE void vec_draw_words(const struct vec_draw *d, int64_t block, uvec out[4])
{
    wvec c0[2], c1[2], c2[2], c3[2];
    for (int i = 0; i < 2; i++) {
        uint64_t from = (uint64_t)(block + i * (VEC / 2));
        c0[i] = d->c0 + (d->low_moves ? from : 0);
        c1[i] = d->c1;
        c2[i] = d->c2 + (d->low_moves ? 0 : from);
        c3[i] = d->c3;
    }
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < 2; i++) {
            wvec a = vec_draw_product(c0[i], 0xD2511F53u),
                 b = vec_draw_product(c2[i], 0xCD9E8D57u);
            c0[i] = (b >> 32) ^ (c1[i] ^ d->key[2 * round]);
            c2[i] = (a >> 32) ^ (c3[i] ^ d->key[2 * round + 1]);
            c1[i] = b;
            c3[i] = a;
        }
    for (int i = 0; i < 2; i++)
        vec_draw_interleave((c0[i] & 0xFFFFFFFFu) | (c1[i] << 32),
            (c2[i] & 0xFFFFFFFFu) | (c3[i] << 32), out + 2 * i);
}

/* Factors (0 or scale) of the 4 VEC channels or keys from 4 * block on. */
VEC_INLINE void vec_draw_factors(const struct vec_draw *d, int64_t block, vec out[4])
{
    uvec word[4];
    vec_draw_words(d, block, word);
    for (int i = 0; i < 4; i++)
        out[i] = vec_where((ivec)(word[i] >= d->threshold), vec_all(d->scale));
}

/* Factors of elements first ... first + n - 1; `first` need not be a multiple of four. */
static inline void vec_draw_row(
    float *out, const struct mega_draw_row *row, int64_t first, int64_t n)
{
    enum { STEP = 4 * VEC };
    struct vec_draw d;
    vec_draw_begin(&d, row);
    for (int64_t i = -(first & 3); i < n; i += STEP) {
        vec f[4];
        vec_draw_factors(&d, (first + i) / 4, f);
        if (i >= 0 && n - i >= STEP) {
            for (int k = 0; k < 4; k++) vec_store(out + i + k * VEC, f[k]);
            continue;
        }
        float all[STEP];
        for (int k = 0; k < 4; k++) vec_store(all + k * VEC, f[k]);
        int64_t from = i < 0 ? -i : 0, to = n - i < STEP ? n - i : STEP;
        for (int64_t j = from; j < to; j++) out[i + j] = all[j];
    }
}

#endif
