/* Learned places put between those of a text: memory tokens (2006.11527), class tokens. Rows
 * grow by them, and shrink again behind the last layer.
 *
 * They stand before the first real place of each document: in a stream before the row's first
 * token, and never again. Interleaved ones stand before every so many places of a document.
 * Those of segments with memories of earlier ones (Transformer-XL) begin every call anew, are
 * no part of what a stream counts, and leave nothing to the next segment. */
#ifndef MEGA_LAYER_INSERTED_H
#define MEGA_LAYER_INSERTED_H

#include "graph/run.h"

struct mega_inserted {
    const struct mega_rows *rows; /* with the inserted places */
    mega_tensor *index;           /* [B, T'] for the op arrange: into the longer rows */
    mega_tensor *back;            /* [B, T]: out of them again */
    mega_tensor *first;           /* [B, n]: the inserted ones alone, of the row's start */
};

enum { MEGA_INSERTED_ONCE = 0, MEGA_INSERTED_EACH_CALL = -1 };

/* n places at every start, before every so many places (every > 0), or at the start of every
 * call and document. With a stream the run goes on with the longer rows, but for the last. */
void mega_inserted_make(mega_run *r, struct mega_inserted *m, const struct mega_rows *rows,
    int64_t n, int64_t every);

/* x [B, T, D], extra [n, D] -> [B, T', D] */
mega_tensor *mega_inserted_add(
    mega_run *r, const struct mega_inserted *m, mega_tensor *x, mega_tensor *extra);

/* [B, T', D] -> [B, T, D], or [B, n, D] of the inserted ones */
mega_tensor *mega_inserted_drop(mega_run *r, const struct mega_inserted *m, mega_tensor *x);
mega_tensor *mega_inserted_take(mega_run *r, const struct mega_inserted *m, mega_tensor *x);

/* Rows of a stream whose places count `lead` inserted ones at their start, as the tokens see
 * them: without these. */
const struct mega_rows *mega_inserted_tokens(
    mega_run *r, const struct mega_rows *rows, int64_t lead);

#endif
