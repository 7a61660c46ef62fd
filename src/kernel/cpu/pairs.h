/* Products of bfloat16 with sums in float32, by the instructions that some chips have for them.
 *
 * They take two steps of the sum at once, so operands are matrices of pairs: the numbers of
 * steps 2p and 2p + 1 side by side. A row of a left operand as it lies is pairs already; what
 * is summed down its columns is joined first, two rows to one. An odd number of steps ends with
 * a zero. Everything runs on the calling thread, as in product.h. */
#ifndef MEGA_KERNEL_CPU_PAIRS_H
#define MEGA_KERNEL_CPU_PAIRS_H

#include "base/work.h"
#include "kernel/cpu/matrix.h"

/* The left operand, [m, pairs]: pair p of row i at i * row + p * next numbers. */
struct mega_pair_left {
    const uint16_t *at;
    int64_t row, next;
};

/* The right operand, [pairs, n], in panels; `columns` are a multiple of mega_pairs.lanes. */
struct mega_pair_right {
    const uint16_t *at;
    int64_t row, panel; /* numbers from row to row of a panel, from panel to panel */
    int64_t columns;    /* pairs of a row of a panel */
};

struct mega_pairs {
    int64_t lanes, most; /* of a vector; vectors of a panel */

    /* c [m, n] = a b, or c += a b */
    void (*multiply)(int64_t m, int64_t n, int64_t pairs, struct mega_pair_left a,
        struct mega_pair_right b, struct mega_matrix c, bool add);

    /* n numbers to bfloat16 */
    void (*round)(uint16_t *to, const float *from, int64_t n);

    /* float32 b [k, n], or turned, stored [n, k], rounded, as one panel of so many columns */
    void (*pack)(uint16_t *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n);
    void (*pack_turned)(
        uint16_t *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n);

    /* rows 2p and 2p + 1 of [k, n], `stride` apart, become row p of pairs, `to_stride` apart */
    void (*join)(uint16_t *to, int64_t to_stride, const uint16_t *from, int64_t stride,
        int64_t k, int64_t n);
};

/* NULL where the chip has no such instructions. */
const struct mega_pairs *mega_pairs(void);

/* A float32 matrix as an operand: as it lies, or turned. */
struct mega_operand {
    struct mega_matrix at;
    bool turned;
};

/* b [k, n] rounded and packed by lanes into the calling thread's scratch, for all lanes of a
 * call. */
struct mega_pair_right mega_pairs_pack(const struct mega_pairs *p, struct mega_work *work,
    struct mega_operand b, int64_t k, int64_t n);

/* The same by the calling thread, into `room` of so many bytes. */
size_t mega_pairs_packed_bytes(const struct mega_pairs *p, int64_t k, int64_t n);
struct mega_pair_right mega_pairs_pack_into(
    const struct mega_pairs *p, uint16_t *room, struct mega_operand b, int64_t k, int64_t n);

/* c [m, n] = a b, or c += a b, with a [m, k] float32, rounded in scratch. */
void mega_pairs_times(const struct mega_pairs *p, int64_t m, int64_t n, int64_t k,
    struct mega_operand a, struct mega_pair_right b, struct mega_matrix c, bool add,
    struct mega_arena *scratch);

/* The same of two float32 operands, a [m, k] and b [k, n]. */
void mega_pairs_product(const struct mega_pairs *p, int64_t m, int64_t n, int64_t k,
    struct mega_operand a, struct mega_operand b, struct mega_matrix c, bool add,
    struct mega_arena *scratch);

/* Columns of the panels of n columns: all about alike. */
static inline int64_t mega_pair_columns(const struct mega_pairs *p, int64_t n)
{
    int64_t vectors = (n + p->lanes - 1) / p->lanes, panels = (vectors + p->most - 1) / p->most;
    return panels ? (vectors + panels - 1) / panels * p->lanes : p->lanes;
}

#endif
