/* Sums over the lanes of many vectors at once. */
#ifndef MEGA_KERNEL_CPU_VECTOR_SUMS_H
#define MEGA_KERNEL_CPU_VECTOR_SUMS_H

#include "kernel/cpu/vector.h"

/* Halves of every 2 * half lanes of a are added to one another, and stand before those of b. */
VEC_INLINE vec vec_fold(vec a, vec b, int half)
{
    ivec low, high;
    for (int i = 0; i < VEC; i++) {
        low[i] = i / (2 * half) * (2 * half) + i % half + (i % (2 * half) < half ? 0 : VEC);
        high[i] = low[i] + half;
    }
    return vec_pick(a, b, low) + vec_pick(a, b, high);
}

/* Lane i of the result is vec_sum(v[i]), bit for bit; v is used up. */
VEC_INLINE vec vec_sums(vec v[VEC])
{
    _Pragma("GCC unroll 4") for (int half = VEC / 2; half; half /= 2) _Pragma(
        "GCC unroll 8") for (int i = 0; i < half; i++) v[i] = vec_fold(v[i], v[i + half], half);
    return v[0];
}

#endif
