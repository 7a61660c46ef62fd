/* Which keys a query sees: an interval of places, less those that are not real.
 *
 * Every attention kernel asks here, so that documents, chunks, padding and streams mean the
 * same everywhere. Places are those of this call; negative ones lie in a stream's past. */
#ifndef MEGA_OP_WINDOW_H
#define MEGA_OP_WINDOW_H

#include "op/contracts.h"

struct mega_window {
    int64_t from, to; /* keys of the window: from <= j < to */
    int64_t seen; /* keys that this query may see: from <= j < seen (causal: up to itself) */
    int64_t real; /* real keys in the window */
    bool all;     /* softmax: a window of padding alone is read as if all were real */
};

/* The window of the query at (b, i). */
struct mega_window mega_window_at(const struct mega_call *c, int64_t b, int64_t i);

/* Key j of row b counts in this window (the interval aside). */
bool mega_window_real(
    const struct mega_call *c, const struct mega_window *w, int64_t b, int64_t j);

/* Longest window of a call: what a relative bias must cover, [2n-1] for n. */
int64_t mega_window_most(const struct mega_call *c);

/* What divides the scores: 1/attr.scale if it is given; sqrt(d) for softmax, d a head's width;
 * else the keys counted (causal: the place in the window; else the real keys, at least 1). Mega
 * section 2.2. */
double mega_window_divisor(const struct mega_call *c, const struct mega_window *w, int64_t i);

/* The window that the queries i ... *end - 1 of row b share. Windows of a row never overlap. */
static inline struct mega_window mega_window_from(
    const struct mega_call *c, int64_t b, int64_t i, int64_t *end)
{
    struct mega_window w = mega_window_at(c, b, i);
    *end = w.to;
    return w;
}

#endif
