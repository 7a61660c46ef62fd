/* What the forward and the backward pass of the attention kernel share: strips of scores.
 *
 * A strip is a block of queries against all keys that they may see, in a lane's scratch. Scores
 * of all places at once never exist. */
#ifndef MEGA_KERNEL_ONEDNN_ATTENTION_H
#define MEGA_KERNEL_ONEDNN_ATTENTION_H

#include "kernel/cpu/rows.h"
#include "kernel/onednn/gemm.h"
#include "op/window.h"

/* Queries first ... end - 1 of row b, which share a window. */
struct attention_span {
    struct mega_window window;
    int64_t b, first, end;
    int64_t lanes; /* that the lists below cut it into, and the first of them */
    int64_t lane;
};

struct attention_plan {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    const struct mega_cpu_rows *f;
    struct attention_span *span;
    int64_t spans, lanes;
    int64_t Z, E, T;
    const float *bias; /* its middle: bias[j - i]; NULL: none */
    uint64_t key;      /* of the draws */
    bool drops;
};

enum { ATTENTION_QUERIES = 128, ATTENTION_QUERIES_LONG = 64, ATTENTION_LONG = 1024 };

/* Queries of a strip in this window. */
static inline int64_t attention_queries(const struct mega_window *w)
{
    return w->to - w->from > ATTENTION_LONG ? ATTENTION_QUERIES_LONG : ATTENTION_QUERIES;
}

/* Lists the windows of a call; `most_lanes` lanes a window, 0: one for each strip. Lives in the
 * call's scratch. */
struct attention_plan attention_plan(const struct mega_call *c, int64_t most_lanes);

/* The span that a lane belongs to. */
const struct attention_span *attention_find(const struct attention_plan *p, int64_t lane);

struct attention_strip {
    const struct attention_span *span;
    int64_t query, m, from, n; /* queries query ... query+m-1; keys from ... from+n-1 */
    struct mega_matrix k, v;   /* [n, Z], [n, E] */
    struct mega_matrix score, weight,
        factor; /* [m, n]; factor (dropout): only if the plan drops */
};

/* Queries from `query` on: scores (as they go into the function) and weights before dropout;
 * `score` keeps them only if `scores`, else weights replace them. */
struct attention_strip attention_strip(const struct attention_plan *p,
    const struct attention_span *span, int64_t query, bool scores, struct mega_arena *scratch);

/* Sets the elements of a row that query r of the strip does not see. */
void attention_hide(const struct attention_plan *p, const struct attention_strip *s, int64_t r,
    float *row, float value);

/* What query i's scores are divided by. */
double attention_divisor(
    const struct attention_plan *p, const struct attention_strip *s, int64_t r);

#endif
