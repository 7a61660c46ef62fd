/* Products of float32 matrices, by oneDNN's sgemm: the one place that calls it. In a lane of
 * mega_lanes a product runs on that lane's thread, and gives the same bits there as anywhere
 * else. Why sgemm: docs/adr/0003-gemm.md. */
#ifndef MEGA_KERNEL_ONEDNN_GEMM_H
#define MEGA_KERNEL_ONEDNN_GEMM_H

#include "kernel/cpu/matrix.h"

/* c [m, n] = a b, or c += a b. `turn` says how a and b are stored: "NN" a [m, k], b [k, n];
 * "NT" b is [n, k]; "TN" a is [k, m]. */
void mega_gemm(const char turn[2], int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c, bool add);

#endif
