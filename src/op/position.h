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

/* xpos multiplies pair t with a power of its base; the power grows with the position
 * (rotary.c). */
static inline double mega_fading_base(int64_t t, int64_t dims)
{
    return (2 * (double)t / (double)dims + 0.4) / 1.4;
}

static inline double mega_fading_power(double xpos, int64_t position)
{
    return fmin(fmax((double)position / xpos, -64), 64);
}

#endif
