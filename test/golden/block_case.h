/* What the cases of single blocks share: open a store, take x and the mask in, compare y,
 * gradients and running statistics, run again as a stream. */
#ifndef MEGA_TEST_BLOCK_CASE_H
#define MEGA_TEST_BLOCK_CASE_H

#include "golden/case.h"
#include "layer/gated_attention.h"

struct golden_block {
    struct golden_case *c;
    struct mega_store store;
    mega_build build;
    mega_run *run;
    mega_tensor *x;
    struct mega_rows held;
    const struct mega_rows *rows;
    bool time_first; /* in the file; true unless the adapter says otherwise */
    bool opened;
};

/* open, declare into b->build, begin, run, end, close. begin reads in.<input> (NULL: none),
 * in.padding_mask, cfg.training, cfg.seq_len and cfg.batch; end seeds the cotangent and
 * compares out.y, all gradients and running statistics. */
bool golden_block_open(struct golden_case *c, struct golden_block *b);
bool golden_block_begin(struct golden_block *b, const char *input);
void golden_block_end(struct golden_block *b, mega_tensor *y);
void golden_block_close(struct golden_block *b);

/* in.padding_mask as places of x [B, T, ..] that are real; NULL: all are. */
const int32_t *golden_block_real(struct golden_block *b, const mega_tensor *x);

/* How a block runs again as a stream, whose last state the file holds too. */
struct golden_stream {
    mega_tensor *(*forward)(
        mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows);
    const void *self;
    struct mega_cell *state;  /* the EMA's */
    const char *last, *first; /* the file's names of it, at the end and after the first piece */
    void (*look)(struct golden_block *b, mega_stream *s, const void *self); /* or NULL */
};

/* If the file has out.y_incremental: takes in.x in the pieces of cfg.pieces ("1,1,4"; absent:
 * one by one) and compares. */
void golden_block_stream(struct golden_block *b, const struct golden_stream *how);

#define GOLDEN_PRENORM "prenorm|normalize_before|encoder_normalize_before"

/* Options of the Mega block by the names that its classes use. */
struct mega_gated_attention_options golden_attention_options(struct golden_case *c);

#endif
