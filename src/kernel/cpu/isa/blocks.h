/* For kernels that take blocks of rows through products: this instruction set's functions, and
 * the packing of what all lanes read. */
#ifndef MEGA_KERNEL_CPU_ISA_BLOCKS_H
#define MEGA_KERNEL_CPU_ISA_BLOCKS_H

#include "kernel/cpu/product.h"
#include "kernel/cpu/rows.h"
#include "kernel/cpu/vector.h"

extern const struct mega_cpu_rows MEGA_ISA_NAME(mega_cpu_rows);
extern const struct mega_products MEGA_ISA_NAME(mega_products);
static const struct mega_cpu_rows *const row_functions = &MEGA_ISA_NAME(mega_cpu_rows);
static const struct mega_products *const products = &MEGA_ISA_NAME(mega_products);

static inline int64_t pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows of a block: with what a kernel needs beside them they stay in a core's cache. */
static inline int64_t block_rows(const struct mega_call *c)
{
    return c->work->tile ? c->work->tile : 128;
}

/* to, n numbers, receives or is added the groups' shares in order, `bytes` from one to the next
 */
static inline void total_groups(
    float *to, bool add, const float *share, size_t bytes, int64_t groups, int64_t n)
{
    if (!add) memset(to, 0, (size_t)n * sizeof *to);
    row_functions->add_rows(to, share, (int64_t)(bytes / sizeof *to), groups, n);
}

/* b [k, n], or turned [n, k], packed by lanes into the calling thread's scratch, for all lanes
 * of the call. */
struct mega_right MEGA_ISA_NAME(mega_pack)(
    struct mega_work *work, struct mega_matrix b, bool turned, int64_t k, int64_t n);

static inline struct mega_right pack(
    struct mega_work *work, struct mega_matrix b, int64_t k, int64_t n)
{
    return MEGA_ISA_NAME(mega_pack)(work, b, false, k, n);
}

static inline struct mega_right pack_turned(
    struct mega_work *work, struct mega_matrix b, int64_t k, int64_t n)
{
    return MEGA_ISA_NAME(mega_pack)(work, b, true, k, n);
}

/* b [k, n] of one lane: where it lies, or packed if it crowds the cache there. */
static inline struct mega_right right_of(
    struct mega_arena *scratch, struct mega_matrix b, int64_t k, int64_t n)
{
    if (b.stride % 512) return mega_right(products, b, n);
    size_t bytes = (size_t)mega_packed_size(products, k, n) * sizeof(float);
    return mega_right_packed(products, mega_arena_get(scratch, bytes), b, k, n);
}

#endif
