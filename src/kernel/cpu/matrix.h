/* Matrices of float32 as kernels see them: stacks of rows with a stride, as tensors are, so
 * views need no copy. */
#ifndef MEGA_KERNEL_CPU_MATRIX_H
#define MEGA_KERNEL_CPU_MATRIX_H

#include <string.h>

#include "base/arena.h"
#include "tensor/tensor.h"

/* kinds of packed operands on a shelf */
enum { SHELF_PACKED, SHELF_TURNED, SHELF_PAIRS, SHELF_PAIRS_TURNED };

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

/* A stride of so many floats puts the elements of a column into a few sets of the cache: an
 * operand that is read along columns then costs up to half the speed. */
static inline bool mega_matrix_crowded(struct mega_matrix a)
{
    return a.stride % 128 == 0;
}

/* whole cache lines, not crowded */
static inline int64_t mega_matrix_easy_stride(int64_t columns)
{
    enum { LINE = 16 };
    int64_t stride = (columns + LINE - 1) / LINE * LINE;
    return stride % 128 == 0 ? stride + LINE : stride;
}

/* A matrix in memory of mega_matrix_bytes(rows, columns), not crowded. */
static inline struct mega_matrix mega_matrix_over(void *room, int64_t columns)
{
    return (struct mega_matrix){ room, mega_matrix_easy_stride(columns) };
}

static inline size_t mega_matrix_bytes(int64_t rows, int64_t columns)
{
    return (size_t)(rows * mega_matrix_easy_stride(columns)) * sizeof(float);
}

/* One in scratch. */
static inline struct mega_matrix mega_matrix_scratch(
    struct mega_arena *scratch, int64_t rows, int64_t columns)
{
    return mega_matrix_over(mega_arena_get(scratch, mega_matrix_bytes(rows, columns)), columns);
}

static inline void mega_matrix_copy(
    struct mega_matrix to, struct mega_matrix from, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(
            mega_matrix_row(to, r), mega_matrix_row(from, r), (size_t)columns * sizeof(float));
}

#endif
