/* Vectors of bfloat16, VEC lanes of 16 bits: the upper halves of float32. */
#ifndef MEGA_KERNEL_CPU_VECTOR_HALF_H
#define MEGA_KERNEL_CPU_VECTOR_HALF_H

#include "base/half.h"
#include "kernel/cpu/vector.h"

typedef uint16_t hvec __attribute__((vector_size(VEC * 2)));

VEC_INLINE vec vec_widen(hvec h)
{
    return (vec)(__builtin_convertvector(h, uvec) << 16);
}

/* Rounds to nearest even, as mega_to_bf16; a NaN stays one. */
VEC_INLINE hvec vec_narrow(vec v)
{
    uvec bits = (uvec)v, rounded = bits + 0x7FFFu + (bits >> 16 & 1u), nan = bits | 0x400000u;
    uvec is_nan = (uvec)(v != v);
    return __builtin_convertvector(((is_nan & nan) | (~is_nan & rounded)) >> 16, hvec);
}

VEC_INLINE vec vec_widen_load(const uint16_t *p)
{
    hvec h;
    memcpy(&h, p, sizeof h);
    return vec_widen(h);
}

VEC_INLINE void vec_narrow_store(uint16_t *p, vec v)
{
    hvec h = vec_narrow(v);
    memcpy(p, &h, sizeof h);
}

#endif
