/* For kernels that take blocks of rows through products: this instruction set's functions, and
 * the packing of what all lanes read. */
#ifndef MEGA_KERNEL_CPU_ISA_BLOCKS_H
#define MEGA_KERNEL_CPU_ISA_BLOCKS_H

#include "kernel/cpu/pairs.h"
#include "kernel/cpu/product.h"
#include "kernel/cpu/rows.h"
#include "kernel/cpu/vector.h"
#include "kernel/wide.h"

extern const struct mega_cpu_rows MEGA_ISA_NAME(mega_cpu_rows);
extern const struct mega_products MEGA_ISA_NAME(mega_products);
static const struct mega_cpu_rows *const row_functions = &MEGA_ISA_NAME(mega_cpu_rows);
static const struct mega_products *const products = &MEGA_ISA_NAME(mega_products);

/* Products of bfloat16, where this set has them. */
static inline const struct mega_pairs *pair_products(void)
{
    return VEC == 16 ? mega_pairs() : NULL;
}

static inline struct mega_operand as_it_lies(struct mega_matrix a)
{
    return (struct mega_operand){ a, false };
}

static inline struct mega_operand turned(struct mega_matrix a)
{
    return (struct mega_operand){ a, true };
}

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

/* A call of some rows by one thread (graph/sweep.h): the caller sums over all of them, so sums
 * go straight to the gradients. */
static inline bool is_part(const struct mega_call *c)
{
    return c->work->shelf != NULL;
}

static inline bool is_half(const struct mega_call *c)
{
    return c->out[0]->dtype == MEGA_BF16;
}

/* The first inputs are activations, all of the output's type, float32 or bfloat16; the others
 * float32. */
static inline bool blocks_accept(const struct mega_call *c, int activations, const char **why)
{
    mega_dtype type = c->out[0]->dtype;
    *why = "float32 parameters, activations of one type";
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != (i < activations ? type : MEGA_F32)) return false;
    return type == MEGA_F32 || type == MEGA_BF16;
}

/* Some rows of a call in float32: the call as it is, or bfloat16 widened into the lane's
 * scratch and what the block made of it narrowed when it is closed. */
struct block_view {
    const struct mega_call *c;
    struct mega_grads *g;
    struct mega_wide wide;
};

static inline void block_open(struct block_view *v, const struct mega_call *c,
    struct mega_grads *g, int64_t row, int64_t m, struct mega_arena *scratch)
{
    v->c = c;
    v->g = g;
    v->wide.n = 0;
    if (!is_half(c)) return;
    mega_wide_open_rows(&v->wide, c, g, row, row + m, scratch);
    v->c = &v->wide.c;
    v->g = g ? &v->wide.g : NULL;
}

static inline void block_close(struct block_view *v)
{
    if (v->wide.n) mega_wide_close_rows(&v->wide);
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

/* b [k, n] of one lane, packed. */
static inline struct mega_right right_packed(
    struct mega_arena *scratch, struct mega_matrix b, int64_t k, int64_t n)
{
    size_t bytes = (size_t)mega_packed_size(products, k, n) * sizeof(float);
    return mega_right_packed(products, mega_arena_get(scratch, bytes), b, k, n);
}

/* The same where it lies, or packed if it crowds the cache there. */
static inline struct mega_right right_of(
    struct mega_arena *scratch, struct mega_matrix b, int64_t k, int64_t n)
{
    if (b.stride % 512) return mega_right(products, b, n);
    return right_packed(scratch, b, k, n);
}

/* The same for b turned, stored [n, k]. */
static inline struct mega_right right_turned(
    struct mega_arena *scratch, struct mega_matrix b, int64_t k, int64_t n)
{
    size_t bytes = (size_t)mega_packed_size(products, k, n) * sizeof(float);
    return mega_right_turned(products, mega_arena_get(scratch, bytes), b, k, n);
}

/* c [m, n] = a b, or c += a b, of matrices of one lane; `pairs` NULL: in float32. */
static inline void block_product(const struct mega_pairs *pairs, int64_t m, int64_t n,
    int64_t k, struct mega_operand a, struct mega_operand b, struct mega_matrix c, bool add,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    if (pairs) {
        mega_pairs_product(pairs, m, n, k, a, b, c, add, scratch);
    } else {
        struct mega_left left = a.turned ? mega_left_turned(a.at) : mega_left(a.at);
        /* one row reads each number once: nothing is won by packing */
        struct mega_right right = b.turned ? right_turned(scratch, b.at, k, n)
                                  : m == 1 ? mega_right(products, b.at, n)
                                           : right_of(scratch, b.at, k, n);
        products->multiply(m, n, k, left, right, c, add);
    }
    mega_arena_release(scratch, mark);
}

/* A right operand [k, n] that all lanes of a call share, packed as its products read it. */
struct block_weight {
    struct mega_right floats;
    struct mega_pair_right rounded;
};

static inline struct block_weight block_pack(const struct mega_pairs *pairs,
    struct mega_work *work, struct mega_operand b, int64_t k, int64_t n)
{
    struct block_weight w = { 0 };
    if (pairs)
        w.rounded = mega_pairs_pack(pairs, work, b, k, n);
    else
        w.floats = MEGA_ISA_NAME(mega_pack)(work, b.at, b.turned, k, n);
    return w;
}

/* The same by the calling thread, into `room` of block_packed_bytes. */
static inline size_t block_packed_bytes(const struct mega_pairs *pairs, int64_t k, int64_t n)
{
    return pairs ? mega_pairs_packed_bytes(pairs, k, n)
                 : (size_t)mega_packed_size(products, k, n) * sizeof(float);
}

static inline struct block_weight block_pack_into(
    const struct mega_pairs *pairs, void *room, struct mega_operand b, int64_t k, int64_t n)
{
    struct block_weight w = { 0 };
    if (pairs)
        w.rounded = mega_pairs_pack_into(pairs, room, b, k, n);
    else if (b.turned)
        w.floats = mega_right_turned(products, room, b.at, k, n);
    else
        w.floats = mega_right_packed(products, room, b.at, k, n);
    return w;
}

/* c [m, n] = a w, or c += a w */
static inline void block_times(const struct mega_pairs *pairs, int64_t m, int64_t n, int64_t k,
    struct mega_matrix a, const struct block_weight *w, struct mega_matrix c, bool add,
    struct mega_arena *scratch)
{
    if (pairs)
        mega_pairs_times(pairs, m, n, k, as_it_lies(a), w->rounded, c, add, scratch);
    else
        products->multiply(m, n, k, mega_left(a), w->floats, c, add);
}

#endif
