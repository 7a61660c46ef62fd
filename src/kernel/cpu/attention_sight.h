/* Which keys a query, or a block of queries, of attention sees, and so which tiles of keys are
 * visited at all. Keys that are not real are another matter (op/window.h). */
#ifndef MEGA_KERNEL_CPU_ATTENTION_SIGHT_H
#define MEGA_KERNEL_CPU_ATTENTION_SIGHT_H

#include "op/contracts.h"

/* Keys from ... to - 1 are seen by one query of a block at least, and all_from ... all_to - 1
 * by each of them. */
struct attention_sight {
    int64_t from, to, all_from, all_to;
};

/* The first key that the query at p sees where its window, from lo on, is read in segments. */
static inline int64_t attention_segment(
    const struct mega_attr_attention *a, int64_t lo, int64_t p)
{
    int64_t low = p > lo ? p - (p - lo) % a->segment - a->memory : lo;
    return low > lo ? low : lo;
}

/* What queries that stand at first ... last see of the keys lo ... hi - 1 of their window. Keys
 * below `prefix` are seen from before, too (prefix LM). */
static inline struct attention_sight attention_sight(const struct mega_attr_attention *a,
    int64_t lo, int64_t hi, int64_t prefix, int64_t first, int64_t last)
{
    struct attention_sight s = { lo, hi, lo, hi };
    if (a->segment > 0) {
        s.from = attention_segment(a, lo, first);
        s.all_from = attention_segment(a, lo, last);
    }
    if (a->causal) s.to = last + 1 > prefix ? last + 1 : prefix;
    if (a->causal) s.all_to = first + 1 > prefix ? first + 1 : prefix;
    if (a->reach > 0) {
        if (s.to > last + a->reach) s.to = last + a->reach;
        if (s.all_to > first + a->reach) s.all_to = first + a->reach;
        if (s.from < first - a->reach + 1) s.from = first - a->reach + 1;
        if (s.all_from < last - a->reach + 1) s.all_from = last - a->reach + 1;
    }
    if (s.to > hi) s.to = hi;
    if (s.to < s.from) s.to = s.from;
    if (s.all_to > hi) s.all_to = hi;
    return s;
}

/* All of them see all keys first ... end - 1: no row of the tile is cut. */
static inline bool attention_sight_holds(struct attention_sight s, int64_t first, int64_t end)
{
    return first >= s.all_from && end <= s.all_to;
}

/* One of the queries sees one of the keys first ... end - 1. */
static inline bool attention_sight_meets(struct attention_sight s, int64_t first, int64_t end)
{
    return first < s.to && end > s.from;
}

#endif
