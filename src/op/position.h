/* Positions: where a place stands in its document, for embeddings and rotations.
 *
 * Counted from the document's start, in a stream from the row's start on, so that pieces and
 * packed documents have the positions that they would have alone. Left padding of a row that
 * begins here counts for nothing: its first real place has position 0. */
#ifndef MEGA_OP_POSITION_H
#define MEGA_OP_POSITION_H

#include <math.h>

#include "tensor/rows.h"

/* How many places of left padding row b begins with. */
static inline int64_t mega_position_lead(const struct mega_rows *r, int64_t b)
{
    int64_t lead = 0;
    if (!r->real || r->doc || r->place) return 0;
    while (lead < r->T && !r->real[b * r->T + lead]) lead++;
    return lead < r->T ? lead : 0;
}

static inline int64_t mega_position(
    const struct mega_rows *r, int64_t b, int64_t t, int64_t lead)
{
    int64_t position = t - mega_rows_doc(r, b, t) - lead;
    return position > 0 ? position : 0;
}

/* How far pair t of `dims` channels turns from one position to the next. */
static inline double mega_frequency(int64_t t, int64_t dims, double base)
{
    return pow(base, -2 * (double)t / (double)dims);
}

/* What xpos multiplies pair t with (rotary.c): 1 where there is none. */
static inline double mega_fading(int64_t t, int64_t dims, double xpos, int64_t position)
{
    if (xpos == 0) return 1;
    double zeta = (2 * (double)t / (double)dims + 0.4) / 1.4, times = (double)position / xpos;
    return pow(zeta, fmin(fmax(times, -64), 64));
}

#endif
