/* Loops that reach the arithmetic peak, one for each instruction set. */
#ifndef MEGA_KERNEL_CPU_FMA_LOOP_H
#define MEGA_KERNEL_CPU_FMA_LOOP_H

#include <stdint.h>

/* Runs `turns` turns; returns the FLOPs done. `sink` takes a result, so that the work cannot be
 * left out. */
double mega_fma_loop_base(int64_t turns, float *sink);
double mega_fma_loop_avx2(int64_t turns, float *sink);
double mega_fma_loop_avx512(int64_t turns, float *sink);

#endif
