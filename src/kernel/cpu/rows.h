/* Functions on rows of n float32, one table for each instruction set: for kernels that are not
 * compiled once per set themselves, and what several of those that are have in common.
 *
 * Rows may start anywhere and have any length, 0 too. An output may be the same row as an
 * input, but must not overlap one otherwise. Error bounds: vector_math.h. */
#ifndef MEGA_KERNEL_CPU_ROWS_H
#define MEGA_KERNEL_CPU_ROWS_H

#include "kernel/kernel.h"
#include "op/draw.h"

/* A row of draws (op/draw.h): all channels at one (row, place), or all keys of one (row, head,
 * query). */
struct mega_draw_row {
    uint64_t key, low, high; /* of block 0 */
    bool low_moves;          /* the block's number stands in low, else in high */
    uint32_t threshold;      /* words below it drop */
    float scale;             /* of those that stay: 1 / (1 - p) */
};

/* Channels of the update's row at `place` (0 for MEGA_DROPOUT_FEATURES). */
static inline struct mega_draw_row mega_draw_channels(
    uint64_t key, int64_t row, int64_t place, double p)
{
    return (struct mega_draw_row){ key, mega_draw_low(place), mega_draw_high(row, 0), false,
        mega_draw_threshold(p), (float)(1 / (1 - p)) };
}

/* Keys of the update's row, of one head and query. */
static inline struct mega_draw_row mega_draw_keys(
    uint64_t key, int64_t row, int64_t head, int64_t query, double p)
{
    return (struct mega_draw_row){ key, mega_draw_weights_low(query, 0),
        mega_draw_weights_high(row, head), true, mega_draw_threshold(p), (float)(1 / (1 - p)) };
}

struct mega_cpu_rows {
    /* y = f(x) */
    void (*exp)(float *y, const float *x, int64_t n);
    void (*log)(float *y, const float *x, int64_t n);
    void (*tanh)(float *y, const float *x, int64_t n);
    void (*erf)(float *y, const float *x, int64_t n);

    /* y = act(x + bias); bias NULL: none */
    void (*act)(enum mega_act act, float *y, const float *x, const float *bias, int64_t n);
    /* dx = dy * act'(x + bias) */
    void (*act_slope)(enum mega_act act, float *dx, const float *dy, const float *x,
        const float *bias, int64_t n);
    /* both at once: y = act(x + bias), dx = dy * act'(x + bias) */
    void (*act_both)(enum mega_act act, float *y, float *dx, const float *dy, const float *x,
        const float *bias, int64_t n);

    /* the largest element; -infinity for n = 0 */
    float (*most)(const float *x, int64_t n);
    /* y = exp(x - most), returns the sum of y */
    float (*exp_sum)(float *y, const float *x, float most, int64_t n);
    /* dx = y * (dy - mean): through a softmax y, with mean = sum of y dy */
    void (*softmax_slope)(float *dx, const float *dy, const float *y, float mean, int64_t n);
    /* weights of attention without a softmax: y = f(x), and dx = dy * f'(x) */
    void (*laplace)(float *y, const float *x, int64_t n);
    void (*laplace_slope)(float *dx, const float *dy, const float *x, int64_t n);
    void (*relu2)(float *y, const float *x, int64_t n);
    void (*relu2_slope)(float *dx, const float *dy, const float *x, int64_t n);

    float (*sum)(const float *x, int64_t n);
    float (*dot)(const float *x, const float *y, int64_t n);
    void (*scale)(float *y, const float *x, float by, int64_t n);          /* y = by * x */
    void (*add_scaled)(float *y, const float *x, float by, int64_t n);     /* y += by * x */
    void (*multiply)(float *y, const float *a, const float *b, int64_t n); /* y = a * b */
    /* y += the sum of m rows, `stride` apart, of x */
    void (*add_rows)(float *y, const float *x, int64_t stride, int64_t m, int64_t n);

    /* bfloat16 and back: y = x; y = x rounded; y = y + x, rounded once */
    void (*widen)(float *y, const uint16_t *x, int64_t n);
    void (*narrow)(uint16_t *y, const float *x, int64_t n);
    void (*narrow_add)(uint16_t *y, const float *x, int64_t n);

    /* factors, 0 or scale, of the elements first ... first + n - 1 of a row of draws */
    void (*draw)(float *factor, const struct mega_draw_row *d, int64_t first, int64_t n);
};

/* The table for an instruction set that this machine has (mega_isa_here). */
const struct mega_cpu_rows *mega_cpu_rows(enum mega_isa isa);

#endif
