/* Rows of language models: a corpus cut into stretches of targets, before any order. */
#ifndef MEGA_DATA_TEXT_ROWS_H
#define MEGA_DATA_TEXT_ROWS_H

#include "data/text_batches.h"

/* n targets from token `from` on; their inputs are the tokens before them. */
struct mega_stretch {
    int64_t from, n;
};

struct mega_text_rows {
    struct mega_slice slice;
    struct mega_stretch *span;
    int64_t spans, room;
    int64_t *first; /* packed: [rows + 1] row i is span first[i] ... first[i + 1] - 1; NULL: row
                       i is span i */
    int64_t *number; /* packed: [spans] which piece of the documents each is, in their order */
    int64_t before, after; /* free places around each span */
    int64_t *context; /* windows: [rows] targets at a row's beginning that another row scores;
                         NULL: none */
    int64_t rows;
    int64_t unscored, dropped;
};

/* The rows of an epoch; `seed` is the epoch's own. */
mega_status mega_text_rows_make(struct mega_text_rows *r, const struct mega_slice *slice,
    const struct mega_text_batching *b, uint64_t seed);
void mega_text_rows_done(struct mega_text_rows *r);

/* Places from the row's first to behind its last token, with those around; documents begin at
 * multiples of `align`. */
int64_t mega_text_rows_length(const struct mega_text_rows *r, int64_t row, int64_t align);

static inline int64_t mega_text_rows_first(const struct mega_text_rows *r, int64_t row)
{
    return r->first ? r->first[row] : row;
}

/* The number of a row's span, of rows that are packed and of those that are not. */
static inline int64_t mega_text_rows_number(const struct mega_text_rows *r, int64_t span)
{
    return r->number ? r->number[span] : span;
}

static inline int64_t mega_text_rows_context(const struct mega_text_rows *r, int64_t row)
{
    return r->context ? r->context[row] : 0;
}

/* ---- for the kinds ---- */

mega_status mega_text_rows_add(struct mega_text_rows *r, int64_t from, int64_t n);

/* Puts the spans (pieces of documents, none longer than `length`) beside one another into rows
 * of at most `length` places and a frame: in the order of `seed` (shuffled: if set), each into
 * the fullest of the open rows that it fits into. */
mega_status mega_text_rows_pack(
    struct mega_text_rows *r, int64_t length, int64_t align, bool shuffled, uint64_t seed);

/* Cuts every row into windows, of which all but the first score `stride` targets. */
mega_status mega_text_rows_window(struct mega_text_rows *r, int64_t window, int64_t stride);

#endif
