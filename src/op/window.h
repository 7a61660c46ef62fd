/* Which keys a query sees: an interval of places, less those that are not real.
 *
 * Every attention kernel asks here, so that documents, chunks, padding and streams mean the
 * same everywhere. Places are those of the keys' rows in this call; negative ones lie in a
 * stream's past. Prefix keys have no place: every query sees them. */
#ifndef MEGA_OP_WINDOW_H
#define MEGA_OP_WINDOW_H

#include "op/contracts.h"

struct mega_window {
    int64_t from, to;  /* keys of the window, which its queries share: from <= j < to */
    int64_t low, seen; /* of these, the ones that this query may see: low <= j < seen (causal:
                          up to itself; within its reach) */
    int64_t real;      /* real keys in the window */
    bool all;          /* softmax: a window of padding alone is read as if all were real */
};

/* The rows that the keys lie in, and how many places S these have. */
static inline const struct mega_rows *mega_window_keys(const struct mega_call *c)
{
    return c->keys ? c->keys : c->rows;
}

/* The place among the keys at which query i stands: the last query at the last key. */
static inline int64_t mega_window_stand(const struct mega_call *c, int64_t i)
{
    return i + mega_window_keys(c)->T - c->rows->T;
}

/* The window of the query at (b, i). */
struct mega_window mega_window_at(const struct mega_call *c, int64_t b, int64_t i);

/* The same window as another of its queries, i, sees it: low and seen. */
void mega_window_look(const struct mega_call *c, int64_t b, int64_t i, struct mega_window *w);

/* Key j of row b counts in this window (the interval aside). */
bool mega_window_real(
    const struct mega_call *c, const struct mega_window *w, int64_t b, int64_t j);

/* The most places between a query and a key, and itself: what a relative bias must cover,
 * [2n-1] for n. */
int64_t mega_window_most(const struct mega_call *c);

/* What divides the scores: 1/attr.scale if it is given; for laplace and relu2 the keys counted
 * (causal: the place in the window; else the real keys, at least 1. Mega section 2.2); else
 * sqrt(d), d a head's width. i: the query. */
double mega_window_divisor(const struct mega_call *c, const struct mega_window *w, int64_t i);

/* The window that the queries i ... *end - 1 of row b share, as query i sees it. Windows of a
 * row never overlap; some keys may lie in none (more keys than queries). */
struct mega_window mega_window_from(
    const struct mega_call *c, int64_t b, int64_t i, int64_t *end);

#endif
