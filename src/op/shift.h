/* Where the values of shift come from: the same for its reference and its kernel. */
#ifndef MEGA_OP_SHIFT_H
#define MEGA_OP_SHIFT_H

#include "op/contracts.h"

static inline int64_t mega_shift_groups(const struct mega_attr_shift *a)
{
    return (a->two_way ? 2 : 1) * a->steps + 1;
}

/* Where the value of (b, t) from `back` places earlier stands: the input and *row, or -1: it is
 * zero. A place of the past stands at the end of `past`. */
static inline int mega_shift_source(
    const struct mega_call *c, int64_t b, int64_t t, int64_t back, int64_t *row)
{
    const struct mega_attr_shift *a = c->attr;
    const struct mega_rows *rows = c->rows;
    int64_t T = rows->T, from = t - back;
    *row = b * T + from;
    if (!back) return MEGA_SHIFT_X;
    if (from >= T || from < mega_rows_doc(rows, b, t)) return -1;
    if (from < 0) {
        *row = b * a->steps + a->steps + from;
        bool there = c->in[MEGA_SHIFT_PAST] && from >= -a->steps && !mega_rows_fresh(rows, b);
        return there ? MEGA_SHIFT_PAST : -1;
    }
    if (!a->blind && !mega_rows_real(rows, b, from)) return -1;
    return mega_rows_doc(rows, b, from) == mega_rows_doc(rows, b, t) ? MEGA_SHIFT_X : -1;
}

/* The same of place k of the new past. */
static inline int mega_shift_kept(const struct mega_call *c, int64_t b, int64_t k, int64_t *row)
{
    const struct mega_attr_shift *a = c->attr;
    int64_t t = mega_rows_len(c->rows, b) - a->steps + k;
    if (t >= 0) {
        *row = b * c->rows->T + t;
        return a->blind || mega_rows_real(c->rows, b, t) ? MEGA_SHIFT_X : -1;
    }
    *row = b * a->steps + a->steps + t;
    bool there = c->in[MEGA_SHIFT_PAST] && t >= -a->steps && !mega_rows_fresh(c->rows, b);
    return there ? MEGA_SHIFT_PAST : -1;
}

#endif
