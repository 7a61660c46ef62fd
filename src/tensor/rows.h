/* What lies in B rows of T places: the only mask there is.
 *
 * A place is real (a token) or not (padding, a hole). NULL members mean the simple case:
 * everything real, one document a row, rows numbered as they stand, states going on. Numbers
 * are I32 on the host. */
#ifndef MEGA_TENSOR_ROWS_H
#define MEGA_TENSOR_ROWS_H

#include "tensor/tensor.h"

struct mega_rows {
    int64_t B, T;
    const int32_t
        *len; /* [B]    places in use, from the left; a stream does not move on beyond */
    const int32_t *real; /* [B, T] 1 = a token: left padding, holes */
    const int32_t
        *doc; /* [B, T] place where the token's document began; negative: before this call */
    const int32_t *number; /* [B]    number of the row in the update, over passes and ranks */
    const int32_t *fresh;  /* [B]    1 = the row's state starts anew before this call */
    const int32_t *place;  /* [B]    places of the row's stream that came before this call */
};

static inline int64_t mega_rows_len(const struct mega_rows *r, int64_t b)
{
    return r->len ? r->len[b] : r->T;
}

static inline bool mega_rows_real(const struct mega_rows *r, int64_t b, int64_t t)
{
    return t < mega_rows_len(r, b) && (!r->real || r->real[b * r->T + t]);
}

static inline bool mega_rows_fresh(const struct mega_rows *r, int64_t b)
{
    return r->fresh && r->fresh[b];
}

static inline int64_t mega_rows_place(const struct mega_rows *r, int64_t b)
{
    return r->place && !mega_rows_fresh(r, b) ? r->place[b] : 0;
}

/* Where the document of (b, t) began, counted in this call's places; at the earliest where the
 * row's stream began. */
static inline int64_t mega_rows_doc(const struct mega_rows *r, int64_t b, int64_t t)
{
    return r->doc ? r->doc[b * r->T + t] : -mega_rows_place(r, b);
}

static inline int64_t mega_rows_number(const struct mega_rows *r, int64_t b)
{
    return r->number ? r->number[b] : b;
}

/* True if some place is not real. */
bool mega_rows_padded(const struct mega_rows *r);

#endif
