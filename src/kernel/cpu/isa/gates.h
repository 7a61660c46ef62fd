/* The gates of a Mega block on one row of n numbers, both ways: for the ops of their own and
 * for the region that has them inside. A gradient that is NULL is not wanted; `add` adds to it.
 */
#ifndef MEGA_KERNEL_CPU_ISA_GATES_H
#define MEGA_KERNEL_CPU_ISA_GATES_H

#include "kernel/cpu/vector_math.h"

struct row_grad {
    float *at;
    bool add;
};

VEC_INLINE void row_give(struct row_grad to, int64_t j, vec d, int64_t left)
{
    if (to.at) vec_put(to.at + j, to.add ? vec_get(to.at + j, left) + d : d, left);
}

/* y = x act(g) */
static inline void gate_row(
    enum mega_act act, float *y, const float *x, const float *g, int64_t n)
{
#define LOOP(f)                                                                                \
    for (int64_t j = 0; j < n; j += VEC)                                                       \
    vec_put(y + j, vec_get(x + j, n - j) * vec_act(f, vec_get(g + j, n - j)), n - j)
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

/* y, if it is there, once more */
static inline void gate_row_back(enum mega_act act, float *y, struct row_grad dx,
    struct row_grad dg, const float *dy, const float *x, const float *g, int64_t n)
{
#define LOOP(f)                                                                                \
    for (int64_t j = 0; j < n; j += VEC) {                                                     \
        struct vec_jet gate = vec_act_jet(f, vec_get(g + j, n - j));                           \
        vec d = vec_get(dy + j, n - j), in = vec_get(x + j, n - j);                            \
        if (y) vec_put(y + j, in * gate.value, n - j);                                         \
        row_give(dx, j, d *gate.value, n - j);                                                 \
        row_give(dg, j, d *in *gate.slope, n - j);                                             \
    }
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

/* What a gated residual reads: y = x + sigmoid(u) (m act(a + b) - x). */
struct residual_row {
    const float *x, *u, *a, *b;
    const float *m; /* factors of dropout; NULL: 1 */
};

static inline void residual_row(
    enum mega_act act, float *y, const struct residual_row *in, int64_t n)
{
    const float *m = in->m;
#define LOOP(f)                                                                                \
    for (int64_t j = 0; j < n; j += VEC) {                                                     \
        vec h = vec_act(f, vec_get(in->a + j, n - j) + vec_get(in->b + j, n - j)),             \
            old = vec_get(in->x + j, n - j);                                                   \
        if (m) h *= vec_get(m + j, n - j);                                                     \
        vec_put(y + j, old + vec_sigmoid(vec_get(in->u + j, n - j)) * (h - old), n - j);       \
    }
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

static inline void residual_row_back(enum mega_act act, struct row_grad dx, struct row_grad du,
    struct row_grad da, struct row_grad db, const float *dy, const struct residual_row *in,
    int64_t n)
{
    const float *m = in->m;
#define LOOP(f)                                                                                \
    for (int64_t j = 0; j < n; j += VEC) {                                                     \
        struct vec_jet h =                                                                     \
            vec_act_jet(f, vec_get(in->a + j, n - j) + vec_get(in->b + j, n - j));             \
        struct vec_jet gate = vec_sigmoid_jet(vec_get(in->u + j, n - j));                      \
        vec d = vec_get(dy + j, n - j), keep = m ? vec_get(m + j, n - j) : vec_all(1);         \
        vec dh = d * gate.value * keep * h.slope;                                              \
        vec change = h.value * keep - vec_get(in->x + j, n - j);                               \
        row_give(dx, j, d - d * gate.value, n - j);                                            \
        row_give(du, j, d *change *gate.slope, n - j);                                         \
        row_give(da, j, dh, n - j);                                                            \
        row_give(db, j, dh, n - j);                                                            \
    }
    VEC_EACH_ACT(act, LOOP)
#undef LOOP
}

#endif
