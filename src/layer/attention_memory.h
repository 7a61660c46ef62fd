/* Recurrence between segments (Transformer-XL, 1901.02860): a stream keeps the last M rows of
 * an attention's input, before any norm, and the next segment's queries see them as keys. Which
 * layer reads which memory is the stack's affair (enhanced recurrence, 2012.15688). */
#ifndef MEGA_LAYER_ATTENTION_MEMORY_H
#define MEGA_LAYER_ATTENTION_MEMORY_H

#include "layer/attention.h"

/* What the segment before left: [B, M, D], the latest row last; NULL without a stream, or if it
 * keeps none. Rows that no text has filled yet hold 0, and nobody sees them. */
mega_tensor *mega_attention_memory(mega_run *r, const struct mega_attention *m);

/* The last M rows of `memory` (the one that was read) and then x [B, T, D], the input before
 * its norm, are left to the next segment. Nothing without a stream. */
void mega_attention_remember(mega_run *r, const struct mega_attention *m, mega_tensor *memory,
    mega_tensor *x, const struct mega_rows *rows);

/* The rows that M rows of memory and the call's own lie in: places M before these. */
const struct mega_rows *mega_attention_memory_rows(
    mega_run *r, int64_t memory, const struct mega_rows *rows);

/* a [B, M, n], then b [B, T, n]: [B, M + T, n] */
mega_tensor *mega_attention_join(
    mega_run *r, mega_tensor *a, mega_tensor *b, int64_t last, const struct mega_rows *rows);

#endif
