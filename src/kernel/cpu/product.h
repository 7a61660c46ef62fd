/* Products of float32 matrices, one table for each instruction set.
 *
 * The right operand is read in panels: some vectors of columns, row after row. Any matrix can
 * be read so where it lies; one that many products share, that is stored turned, or whose
 * columns crowd the cache (matrix.h) is packed first. Everything runs on the calling thread,
 * and a result does not depend on how its rows are cut into calls. Why not a library:
 * docs/adr/0008-products.md. */
#ifndef MEGA_KERNEL_CPU_PRODUCT_H
#define MEGA_KERNEL_CPU_PRODUCT_H

#include "kernel/cpu/matrix.h"
#include "kernel/kernel.h"

/* The left operand, [m, k]: element (i, j) at i * row + j * next. */
struct mega_left {
    const float *at;
    int64_t row, next;
};

/* A matrix as it lies, [m, k]; or turned, stored [k, m]. */
static inline struct mega_left mega_left(struct mega_matrix a)
{
    return (struct mega_left){ a.at, a.stride, 1 };
}

static inline struct mega_left mega_left_turned(struct mega_matrix a)
{
    return (struct mega_left){ a.at, 1, a.stride };
}

/* The right operand, [k, n]. */
struct mega_right {
    const float *at;
    int64_t row, panel; /* floats from row to row of a panel, from panel to panel */
    int64_t columns;    /* of a panel */
};

struct mega_products {
    int64_t lanes; /* of a vector */
    int64_t most;  /* vectors of a panel */

    /* c [m, n] = a b, or c += a b */
    void (*multiply)(int64_t m, int64_t n, int64_t k, struct mega_left a, struct mega_right b,
        struct mega_matrix c, bool add);

    /* c [m, n] = a b^T with a [m, k] and b [n, k], read where it lies: for a few rows of a.
     * Elements are dot products; a row's do not depend on the others. */
    void (*few)(int64_t m, int64_t n, int64_t k, struct mega_matrix a, struct mega_matrix b,
        struct mega_matrix c);

    /* b in panels of so many columns, zeros behind its last: b as it lies, [k, n], or turned,
     * stored [n, k] */
    void (*pack)(float *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n);
    void (*pack_turned)(float *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n);
};

/* The table for an instruction set that this machine has (mega_isa_here). */
const struct mega_products *mega_products(enum mega_isa isa);

/* Columns of the panels of a matrix of n columns: all about alike. */
static inline int64_t mega_panel_columns(const struct mega_products *p, int64_t n)
{
    int64_t vectors = (n + p->lanes - 1) / p->lanes, panels = (vectors + p->most - 1) / p->most;
    return panels ? (vectors + panels - 1) / panels * p->lanes : p->lanes;
}

/* b where it lies. */
static inline struct mega_right mega_right(
    const struct mega_products *p, struct mega_matrix b, int64_t n)
{
    int64_t columns = mega_panel_columns(p, n);
    return (struct mega_right){ b.at, b.stride, columns, columns };
}

/* Floats of a packed b. */
static inline int64_t mega_packed_size(const struct mega_products *p, int64_t k, int64_t n)
{
    int64_t columns = mega_panel_columns(p, n);
    return (n + columns - 1) / columns * columns * k;
}

/* b packed into `room`, of mega_packed_size floats. */
struct mega_right mega_right_packed(
    const struct mega_products *p, float *room, struct mega_matrix b, int64_t k, int64_t n);
struct mega_right mega_right_turned(
    const struct mega_products *p, float *room, struct mega_matrix b, int64_t k, int64_t n);

#endif
