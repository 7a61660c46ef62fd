/* What the lanes of attention's backward pass sum for themselves, until all are done and totals
 * are taken in one order. dk and dv need none of this: a tile of keys belongs to one lane. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_SUMS_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_SUMS_H

#include "kernel/cpu/isa/attention.h"

/* One lane's; NULL: not wanted. Queries are those of the window, heads those of the span. */
struct attention_lane {
    float *dq;          /* [queries, heads, Z]; NULL, too: the window's only lane writes dq */
    float *drow[SIDES]; /* [queries, heads]: sums over the keys of a side, of decay */
    float *dshare;      /* [queries, heads, R] */
    float *dbias;       /* [tables, differences]: see bias_sum */
    float *dbank;       /* like the bank */
    float
        *dprefix[2]; /* [N, Z], [N, E], the window's: each tile of it is written by one lane */
};

struct attention_sums {
    const struct attention_plan *p;
    struct mega_grads *g;
    struct attention_lane *lane; /* [lanes] */
    float *column[SIDES];        /* [B, S, H]: sums over queries, of decay; or NULL */
    const float *log_sum, *mean; /* of the softmax whose gradient passes through, [B, T, H] */
    const float *lost;           /* inverted, of each key: attention_column_slopes */
};

/* How many j - p there are for the keys and queries of a window. */
static inline int64_t differences_of(const struct attention_span *s)
{
    return s->lo < s->hi ? s->hi - s->lo + s->end - s->first - 1 : 0;
}

/* The least of them. */
static inline int64_t least_difference(
    const struct attention_plan *p, const struct attention_span *s)
{
    return s->lo - mega_window_stand(p->c, s->end - 1);
}

/* A lane's dbias for a head: its middle, as plan.bias is one. */
static inline float *bias_sum(const struct attention_plan *p, const struct attention_span *s,
    const struct attention_lane *lane, int64_t head)
{
    if (!lane->dbias) return NULL;
    int64_t table = p->bias_head ? head - s->head : 0;
    return lane->dbias + table * differences_of(s) - least_difference(p, s);
}

/* Room for all of it, zeroed where lanes add. */
void MEGA_ISA_NAME(mega_attention_sums)(struct attention_sums *s);

/* The totals, to where they belong. */
void MEGA_ISA_NAME(mega_attention_totals)(const struct attention_sums *s);

#endif
