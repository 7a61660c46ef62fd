/* What the forward and the backward pass of the attention kernel share: tiles of scores.
 *
 * A tile is a block of queries of one window against as many of its keys, in a lane's scratch.
 * More scores than a lane's tile never exist. */
#ifndef MEGA_KERNEL_ONEDNN_ATTENTION_H
#define MEGA_KERNEL_ONEDNN_ATTENTION_H

#include <string.h>

#include "kernel/cpu/rows.h"
#include "kernel/onednn/gemm.h"
#include "op/heads.h"
#include "op/window.h"

enum {
    ATTENTION_QUERIES = 128,
    ATTENTION_KEYS = 128,
    ATTENTION_LANES = 16 /* backward: as many are made if the work can be cut so */
};

/* Queries first ... end - 1 of row b, which share a window, for the heads head ... head + heads
 * - 1, which share their keys: forward one head, backward all that read one head of keys. */
struct attention_span {
    struct mega_window window;
    int64_t b, first, end;
    int64_t head, heads;
    int64_t lo, hi;      /* the window's real keys lie in lo ... hi - 1 */
    bool holes;          /* but not all of these are real */
    int64_t lane, lanes; /* the first of its lanes, and how many */
};

struct attention_plan {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    const struct mega_cpu_rows *f;
    struct mega_heads n;
    int64_t Z, E, T;   /* Z, E: widths of one head */
    const float *bias; /* its middle: bias[j - i]; NULL: none */
    uint64_t key;      /* of the draws */
    bool drops;
    struct attention_span *span;
    int64_t spans, lanes;
};

/* Lists the windows of a call, for each head or group of heads, in the call's scratch. A lane
 * forward is a block of queries; backward it is a window, or a share of the tiles of a window's
 * keys. */
struct attention_plan attention_plan(const struct mega_call *c, bool backward);
const struct attention_span *attention_find(const struct attention_plan *p, int64_t lane);

struct attention_queries {
    const struct attention_span *span;
    int64_t head;
    int64_t first, m;     /* queries first ... first + m - 1 */
    struct mega_matrix q; /* [m, Z], divided by what divides the scores */
};

struct attention_queries attention_queries(const struct attention_plan *p,
    const struct attention_span *span, int64_t head, int64_t first, struct mega_arena *scratch);

/* The row of q, v and o that query r of a block has. */
static inline int64_t attention_row(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return q->span->b * p->T + q->first + r;
}

/* Where the sum of query r's softmax is kept: [B, T, H]. */
static inline int64_t attention_sum(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return attention_row(p, q, r) * p->n.H + q->head;
}

struct attention_keys {
    int64_t first, n;
    struct mega_matrix k, v; /* [n, Z], [n, E] */
};

/* The tile of keys that begins at `first`, at most up to `end`: neighbours in memory, in this
 * call or in a stream's past. */
struct attention_keys attention_keys(const struct attention_plan *p,
    const struct attention_span *span, int64_t first, int64_t end);

/* The end of the keys that a block of queries sees. */
int64_t attention_end(const struct attention_plan *p, const struct attention_queries *q);

/* How many keys of a tile query r of a block sees (holes aside). */
int64_t attention_seen(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r);

/* s [m, n]: scores as they go into the function. A key that is not real has one whose weight
 * is 0. */
void attention_scores(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix s);

/* The factors of dropout for query r of a block. */
void attention_draw(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, float *factor);

static inline void attention_clear(float *from, const float *to)
{
    if (from < to) memset(from, 0, (size_t)(to - from) * sizeof *from);
}

double attention_cost(const struct attention_plan *p); /* for mega_lanes, of the forward pass */

void attention_backward(const struct mega_call *c, struct mega_grads *g);

#endif
