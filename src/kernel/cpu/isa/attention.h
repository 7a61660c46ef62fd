/* The parts of the attention kernel, for one another. The mathematics stands in
 * attention_forward.c. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_H

#include "kernel/cpu/isa/attention_score.h"

void MEGA_ISA_NAME(mega_attention_backward)(const struct mega_call *c, struct mega_grads *g);

/* What is kept for the backward pass, in saved[]. */
enum {
    KEPT_SUM,   /* [B, T, H]: the logarithm of each softmax's sum */
    KEPT_ROW,   /* [B, T, H]: topk: the least score that counts; one weight alone: which key */
    KEPT_COLUMN /* [B, H, N + S]: inverted: the logarithm of each key's sum over queries */
};

/* ---- kinds of functions ---- */

/* a softmax over keys, of some kind */
static inline bool is_softmax(const struct mega_attr_attention *a)
{
    switch (a->fn) {
    case MEGA_ATTENTION_SOFTMAX:
    case MEGA_ATTENTION_TOPK:
    case MEGA_ATTENTION_COG:
    case MEGA_ATTENTION_INVERTED: return true;
    case MEGA_ATTENTION_GUMBEL: return !a->through;
    default: return false;
    }
}

/* one weight alone, at the largest score */
static inline bool is_single(const struct mega_attr_attention *a)
{
    return a->fn == MEGA_ATTENTION_HARD || (a->fn == MEGA_ATTENTION_GUMBEL && a->through);
}

/* The gradient is that of the softmax over all keys. */
static inline bool passes_through(const struct mega_attr_attention *a)
{
    return is_single(a) || (a->fn == MEGA_ATTENTION_TOPK && a->through);
}

/* What the scores are multiplied by for the softmax whose gradient passes through a function
 * that is none (gumbel's are already). */
static inline float soft_factor(const struct mega_attr_attention *a)
{
    bool cools = a->fn != MEGA_ATTENTION_GUMBEL && a->temperature > 0;
    return cools ? (float)(1 / a->temperature) : 1;
}

/* Inverted: a query that is not real takes no part. */
static inline bool is_outside(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return p->a->fn == MEGA_ATTENTION_INVERTED &&
           !mega_rows_real(p->c->rows, q->span->b, q->first + r);
}

/* ---- slots without a key ---- */

/* The sink of a head, as a score of the softmax or of the one behind a function that is none.
 */
static inline float sink_of(const struct attention_plan *p, int64_t head, bool soft)
{
    float e = ((const float *)p->c->in[SINK]->data)[head];
    if (p->a->fn == MEGA_ATTENTION_COG) return fabsf(e);
    bool cools = (soft || p->a->fn == MEGA_ATTENTION_GUMBEL) && p->a->temperature > 0;
    return cools ? e * (float)(1 / p->a->temperature) : e;
}

/* Where the softmax of a head begins: the largest score and the sum of these slots. */
struct attention_start {
    float most, sum;
};

static inline struct attention_start start_of(
    const struct attention_plan *p, int64_t head, bool soft)
{
    float zeros = (float)p->a->zeros;
    if (!p->c->in[SINK]) return (struct attention_start){ 0, zeros };
    float e = sink_of(p, head, soft);
    if (zeros > 0 && e < 0) return (struct attention_start){ 0, zeros + expf(e) };
    return (struct attention_start){ e, 1 + (zeros > 0 ? zeros * expf(-e) : 0) };
}

/* ---- a pass before the others ---- */

/* One number a query of a block, to `number` [m]: for topk the least score that counts, for a
 * weight alone its key's `at`, -1: there is none. `score` is room for a tile. `peak` [m], if it
 * is not NULL, grows to the largest scores. */
void MEGA_ISA_NAME(mega_attention_rows)(const struct attention_plan *p,
    const struct attention_queries *q, struct mega_matrix score, float *number, float *peak,
    struct mega_arena *scratch);

/* Of the softmax over all keys: the logarithm of its sum and the sum of w dw, [B, T, H] each,
 * by lanes over p, a backward plan. */
void MEGA_ISA_NAME(mega_attention_soft)(
    const struct attention_plan *p, const mega_tensor *dy, float *log_sum, float *mean);

/* Inverted: the logarithm of each key's sum over the real queries, [B, H, N + S]. */
void MEGA_ISA_NAME(mega_attention_columns)(const struct attention_plan *p, float *log_sum);

/* Its gradient's sums: that of w (dw - mean) over all queries. */
void MEGA_ISA_NAME(mega_attention_column_slopes)(
    const struct attention_plan *p, const mega_tensor *dy, float *slope);

#endif
