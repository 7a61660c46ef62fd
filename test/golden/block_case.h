/* What the cases of single blocks share: open a store, take x and the mask in, compare y,
 * gradients and running statistics. */
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

typedef mega_tensor *golden_forward(
    mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows);

/* open, declare into b->build, begin, run, end, close. begin reads in.<input> (NULL: none),
 * in.padding_mask, cfg.training, cfg.seq_len and cfg.batch; end seeds the cotangent and
 * compares out.y, all gradients, and running statistics of the norm whose cells begin with
 * `norm` ("": none). */
bool golden_block_open(struct golden_case *c, struct golden_block *b);
bool golden_block_begin(struct golden_block *b, const char *input);
void golden_block_end(struct golden_block *b, mega_tensor *y, const char *norm);
void golden_block_close(struct golden_block *b);

/* Runs x again through a stream in pieces ("1,1,4"; "": one by one); compares
 * out.y_incremental, the last state and (names may be NULL) that after the first piece. */
void golden_block_stream(struct golden_block *b, const char *pieces, golden_forward *forward,
    const void *self, struct mega_cell *state, const char *last, const char *first);

/* A stream opened by golden_block_stream is looked at before it is freed. */
typedef void golden_look(struct golden_block *b, mega_stream *s, const void *self);
void golden_block_stream_look(struct golden_block *b, const char *pieces,
    golden_forward *forward, const void *self, struct mega_cell *state, const char *last,
    const char *first, golden_look *look);

/* Options of the Mega block by the names that its classes use. */
struct mega_gated_attention_options golden_attention_options(struct golden_case *c);

#endif
