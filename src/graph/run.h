/* A run: one pass over a model.
 *
 * It owns where memory comes from, what is wanted, and what failed first. Ops are computed when
 * they are called, or, in blocks where they look at rows one by one, together with others once
 * somebody needs what they make (sweep.h): another op, mega_run_read, the block's end. Under
 * MEGA_RUN_GRAD each leaves a record, and backward walks the records in reverse. Errors are
 * sticky: from the first on, every op returns NULL at once, and mega_run_end tells. Several
 * runs, each on its thread, may share a model whose parameters stand still. */
#ifndef MEGA_GRAPH_RUN_H
#define MEGA_GRAPH_RUN_H

#include "graph/context.h"
#include "graph/param.h"
#include "graph/profile.h"
#include "op/op.h"

typedef struct mega_run mega_run;
typedef struct mega_stream mega_stream;

/* Gets side outputs (attention maps) as they are made: `path` names the block. The tensor lives
 * only during the call. */
typedef void mega_tap_fn(void *arg, const char *path, const char *what, const mega_tensor *t);

struct mega_run_args {
    unsigned mode;    /* MEGA_RUN_... bits */
    mega_dtype dtype; /* of activations; MEGA_F32 (0): the run's own (mega_run_set_dtype) */
    struct mega_now now;
    mega_stream *stream; /* NULL: states start fresh and are dropped at the end */
    const char *wants;   /* side outputs for `tap`: "weights,..." */
    mega_tap_fn *tap;
    void *tap_arg;
};

mega_status mega_run_new(mega_run **out, mega_context *c);
void mega_run_free(mega_run *r);

mega_dtype mega_run_dtype(const mega_run *r); /* of activations in the present pass */

/* The type of activations where a pass does not ask for another: MEGA_F32 at first, or
 * MEGA_BF16. Returns the one before. */
mega_dtype mega_run_set_dtype(mega_run *r, mega_dtype dtype);

mega_status mega_run_begin(mega_run *r, const struct mega_run_args *args);
mega_status mega_run_end(
    mega_run *r); /* the first error, if any; else new cell values become current */

/* The first error so far; 0 is healthy. mega_run_fail records one from outside an op (the
 * message is already set). */
mega_status mega_run_status(const mega_run *r);
void mega_run_fail(mega_run *r, mega_status status);

unsigned mega_run_mode(const mega_run *r);
struct mega_now mega_run_now(const mega_run *r);

/* A tensor of the step, not zeroed; lives until the next begin, or the end of the block without
 * a tape, or the backward pass: that hands out again what blocks held and what was made after
 * them. */
mega_tensor *mega_run_tensor(mega_run *r, mega_dtype t, int rank, const int64_t dim[]);
void *mega_run_memory(mega_run *r, size_t bytes);

/* Data of the caller as an input of this run: they must stay until its end. */
mega_tensor *mega_run_input(mega_run *r, const mega_tensor *t);

/* Columns from ... from+n-1 of x: a view, also of its gradient. */
mega_tensor *mega_run_columns(mega_run *r, mega_tensor *x, int64_t from, int64_t n);

/* The same of the first dimension. */
mega_tensor *mega_run_part(mega_run *r, mega_tensor *x, int64_t from, int64_t n);

/* Computes an op: fills the outputs of `c` and returns out[0]; NULL after an error. `site`
 * names the place of use below the present block (for random numbers); NULL: none is needed. */
mega_tensor *mega_run_call(mega_run *r, struct mega_call *c, const char *site);

/* The key of a place of use: what mega_run_call gives an op for random numbers. */
uint64_t mega_run_site(const mega_run *r, const char *site);

/* The key of its random numbers in this step, for who draws outside ops. */
uint64_t mega_run_draws(const mega_run *r, const char *site);

/* The same for a region: false in a healthy run means that nobody accepts: go on with the chain
 * of plain ops and say where it ends (for the profile; the end of a block ends it too). */
bool mega_run_region(mega_run *r, struct mega_call *c, const char *site);
void mega_run_chain_end(mega_run *r);

/* From now on to the end of the pass nobody asks what places behind a row's length hold, and no
 * gradient comes to them: ops that go over rows together leave blocks of them out, with zeros.
 */
void mega_run_leave_padding(mega_run *r);

/* From now on ops are timed into `p`, which the caller keeps; NULL: no longer. */
void mega_run_profile(mega_run *r, struct mega_profile *p);

/* Where gradients start: d(total) / d(t) = each, for every element; or a whole cotangent of t's
 * shape. */
void mega_run_seed(mega_run *r, mega_tensor *t, double each);
void mega_run_seed_with(mega_run *r, mega_tensor *t, const mega_tensor *cotangent);
/* A part of the loss that a model makes besides what it returns: `each` of every element of t.
 * Its gradient starts with seed_more, times `units`. */
void mega_run_more(mega_run *r, mega_tensor *t, double each);
void mega_run_seed_more(mega_run *r, double units);
void mega_run_backward(mega_run *r); /* adds to the parameters' gradients */

/* Makes sure that t has its numbers, for who looks at them before the run ends. */
void mega_run_need(mega_run *r, const mega_tensor *t);

/* Copies a tensor's (or its gradient's) values out, dense, in its own type. */
mega_status mega_run_read(mega_run *r, const mega_tensor *t, void *out);

/* Side outputs: ask before paying, then hand over. */
bool mega_run_wants(const mega_run *r, const char *what);
void mega_run_tap(mega_run *r, const char *what, const mega_tensor *t);

/* FLOPs of the forward pass as the models' arithmetic counts them, nothing twice that is
 * recomputed; 0 without gradients. */
double mega_run_flops(const mega_run *r);

/* Calls `visit` for every op on the tape that is computed for itself, not together with others
 * (mega_run_scratch), the last one first; after the backward pass there is none. */
void mega_run_walk(mega_run *r, void (*visit)(void *arg, const struct mega_call *c), void *arg);

/* Bytes in use and at most so far: values and gradients of the step. */
size_t mega_run_peak(const mega_run *r);

/* Bytes that ops which go over rows together take at most so far, beside these. */
size_t mega_run_scratch(const mega_run *r);

/* ---- rows and states ---- */

/* The rows of a pass, with the stream's places filled in; from then on the stream moves on by
 * these rows at the end. */
const struct mega_rows *mega_run_rows(mega_run *r, const struct mega_rows *rows);

/* From here on the pass, and its stream, go by longer rows: places were inserted (at most
 * store.lead at a row's start, in a stream). `rows` are of this run. */
const struct mega_rows *mega_run_rows_longer(mega_run *r, const struct mega_rows *rows);

/* The cell's value of the last turn: MODEL its buffer; ROW [B, ...] and LOG [B, places, ...] of
 * the stream, NULL without one. */
mega_tensor *mega_cell_get(mega_run *r, struct mega_cell *c);
void mega_cell_set(mega_run *r, struct mega_cell *c, const mega_tensor *next);
void mega_run_turn(
    mega_run *r); /* what was set becomes current for the next pass of this run */

/* A stream: the states of `rows` rows of text on their way through a model. Pieces hold at most
 * `piece` new places; `places` is the room of unlimited attention (0 where every window is a
 * chunk). */
mega_status mega_stream_new(
    mega_stream **out, const struct mega_store *s, int64_t rows, int64_t piece, int64_t places);
void mega_stream_free(mega_stream *s);
void mega_stream_reset(mega_stream *s);
size_t mega_stream_size(const mega_stream *s);           /* bytes of all states */
const int32_t *mega_stream_places(const mega_stream *s); /* [rows] places so far */
const mega_tensor *mega_stream_value(const mega_stream *s, const struct mega_cell *c);
int64_t mega_stream_room(const mega_stream *s); /* places of unlimited attention */
int64_t mega_stream_rows(const mega_stream *s);

/* Row `row` of `to` becomes what row `other` of `from` is; both are streams of one model. They
 * may be one stream. */
void mega_stream_copy_row(mega_stream *to, int64_t row, const mega_stream *from, int64_t other);

/* Only the statistics of norms over time do. */
void mega_stream_copy_statistics(
    mega_stream *to, int64_t row, const mega_stream *from, int64_t other);

/* Row b becomes what row from[b] was, for all rows at once. */
mega_status mega_stream_reorder(mega_stream *s, const int32_t *from);

/* For those who read states and write them, from a file say: the places of a row's state in a
 * log that still count (at most its window), the last n of them in order, `values` [n, ...] of
 * the log's type, of which the last is the row's latest; and where the row then stands. A ROW
 * cell has one place. */
int64_t mega_stream_count(const mega_stream *s, const struct mega_cell *c, int64_t row);
void mega_stream_read(
    const mega_stream *s, const struct mega_cell *c, int64_t row, void *values);
void mega_stream_write(
    mega_stream *s, const struct mega_cell *c, int64_t row, const void *values);
void mega_stream_set_place(mega_stream *s, int64_t row, int32_t place);

/* ---- blocks ---- */

/* All that passes from block to block. */
struct mega_carry {
    mega_tensor *x, *aux, **more;
    int n_more;
};
typedef void mega_block_fn(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows);

/* What a block makes again in the backward pass rather than keep: nothing; all
 * but its carry; the outputs of cheap ops (of an outermost block). */
enum mega_again { MEGA_AGAIN_NOTHING, MEGA_AGAIN_ALL, MEGA_AGAIN_CHEAP };

/* A scope of the step's memory, and the unit of recomputation. */
struct mega_block {
    const char *path; /* names its random sites and messages */
    int repeat;       /* which execution of the same block this is */
    enum mega_again again;
    mega_block_fn *fn;
    const void *self;
};
void mega_run_block(mega_run *r, const struct mega_block *b, struct mega_carry *c,
    const struct mega_rows *rows);

#endif
