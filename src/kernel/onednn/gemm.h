/* Products of float32 matrices, by oneDNN's sgemm: the one place that calls it.
 *
 * Matrices are stacks of rows with a stride, as tensors are, so views need no copy. In a lane
 * of mega_lanes a product runs on that lane's thread, and gives the same bits there as anywhere
 * else. Why sgemm: docs/adr/0003-gemm.md. */
#ifndef MEGA_KERNEL_ONEDNN_GEMM_H
#define MEGA_KERNEL_ONEDNN_GEMM_H

#include "base/arena.h"
#include "tensor/tensor.h"

struct mega_matrix {
    float *at;
    int64_t stride; /* floats from one row to the next */
};

/* The float32 tensor `t` from (row, column) on. */
static inline struct mega_matrix mega_matrix_of(
    const mega_tensor *t, int64_t row, int64_t column)
{
    return (struct mega_matrix){ (float *)mega_row(t, row) + column, t->stride };
}

static inline float *mega_matrix_row(struct mega_matrix a, int64_t row)
{
    return a.at + row * a.stride;
}

/* c [m, n] = a b, or c += a b. `turn` says how a and b are stored: "NN" a [m, k], b [k, n];
 * "NT" b is [n, k]; "TN" a is [k, m]. */
void mega_gemm(const char turn[2], int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c, bool add);

/* A stride of so many floats puts the elements of a column into a few sets of the cache: an
 * operand that is read along columns (b of "NN", all of "TN") then costs up to half the speed.
 */
static inline bool mega_matrix_crowded(struct mega_matrix a)
{
    return a.stride % 128 == 0;
}

/* A matrix in memory of mega_matrix_bytes(rows, columns), not crowded. */
struct mega_matrix mega_matrix_over(void *room, int64_t columns);
size_t mega_matrix_bytes(int64_t rows, int64_t columns);
void mega_matrix_copy(
    struct mega_matrix to, struct mega_matrix from, int64_t rows, int64_t columns);

/* One in scratch. */
static inline struct mega_matrix mega_matrix_scratch(
    struct mega_arena *scratch, int64_t rows, int64_t columns)
{
    return mega_matrix_over(mega_arena_get(scratch, mega_matrix_bytes(rows, columns)), columns);
}

#endif
