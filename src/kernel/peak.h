/* What this machine can do at most: multiply-adds a second and bytes a second. Every claim of
 * speed is a share of these. */
#ifndef MEGA_KERNEL_PEAK_H
#define MEGA_KERNEL_PEAK_H

#include "kernel/kernel.h"

struct mega_peak {
    double fma_one, fma_all;   /* float32 GFLOP/s (a multiply-add is two), one thread and all */
    double copy_one, copy_all; /* GB/s of a copy, bytes read plus written */
    int threads;
};

/* Measures for about `seconds` in all; best of several turns. */
mega_status mega_peak_measure(
    struct mega_work *work, enum mega_isa isa, double seconds, struct mega_peak *out);

/* The rate of multiply-adds on all threads alone; takes no memory to speak of. Of the time that
 * the threads ran, so that a machine busy with other work has no lower peak. */
mega_status mega_peak_measure_fma(
    struct mega_work *work, enum mega_isa isa, double seconds, double *gflops);

#endif
