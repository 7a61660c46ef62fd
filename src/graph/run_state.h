/* The inside of a run, for the files of this room alone. */
#ifndef MEGA_GRAPH_RUN_STATE_H
#define MEGA_GRAPH_RUN_STATE_H

#include "graph/run.h"
#include "graph/spare.h"

/* what stands on the tape, newest first */
enum record_kind { RECORD_OP, RECORD_BLOCK_BEGIN, RECORD_BLOCK_END, RECORD_RECOMPUTE };

struct record {
    struct record *before;
    enum record_kind kind;
    struct mega_call call;       /* OP */
    const struct mega_op *chain; /* OP: the refused region in whose place it stands */
    struct sweep *sweep;         /* OP: that it is computed in, or NULL */
    struct block_record *block;  /* the others */
    size_t start, passing;       /* OP: where its memory begins in both arenas */
    bool shared; /* OP: behind it lies memory of a sweep that was called before it */
};

struct block_record {
    struct mega_block block;
    struct mega_carry in, out; /* as they entered and left */
    const struct mega_rows *rows;
    size_t start;   /* of the values when it was entered */
    size_t passing; /* bytes of its passing values */
    bool passes;    /* it has such */
    size_t mark;    /* of the gradients' arena when the backward pass entered from the end */
};

/* the chosen kernel for (op, attributes, shapes, mode) */
struct memo_entry {
    uint64_t key; /* 0: free */
    const struct mega_kernel *kernel;
    void *prepared;
};
enum { SWEEP_CALLS = 32 };
enum { CHAIN_MOST = 8 };   /* refused regions inside each other */
enum { MORE_MOST = 8 };    /* parts of a loss besides */
enum { MEMO_SIZE = 8192 }; /* entries; forgotten at a begin when three quarters are in use */

struct mega_run {
    mega_context *context;
    mega_dtype dtype; /* where the args do not say */
    struct mega_run_args args;
    /* values that pass: outputs of cheap ops inside a block. They all lie in one place, block
     * after block, and are made again when the backward pass enters the block. */
    struct mega_arena values, passing, gradients;
    bool passes;                    /* outputs of cheap ops do so now */
    struct sweep *waiting, *sweeps; /* the one that gathers calls, or NULL; those computed */
    bool in_block;                  /* outside blocks ops are computed at once */
    bool leaves_padding;            /* mega_run_leave_padding */
    size_t scratch;                 /* most that a sweep needs beside values and gradients */
    mega_status status;
    char message[2048];
    struct record *last;
    bool recording, replaying;
    char path[256];        /* of the present block, for messages */
    uint64_t path_hash;    /* with the execution's number: for random sites */
    struct mega_rows rows; /* of the pass, with the stream's places */
    bool has_rows;
    struct mega_cell *set_cells; /* MODEL cells with a next value */
    struct memo_entry *memo;
    int memo_used;
    double flops;                /* of the ops that a gradient goes through, forward */
    size_t op_start, op_passing; /* where the present op's memory begins */
    int depth;                   /* blocks that we are in, there and back */
    /* on the way back, in a block: */
    size_t dead, dead_passing; /* from here to the end of the block all is spare or dead */
    struct spare spare;        /* what died of it */
    struct spare carried; /* between blocks: gradients of carries that have been passed on */
    struct mega_profile *profile; /* or NULL */
    const struct mega_op
        *chain[CHAIN_MOST]; /* refused regions that we are in, innermost last */
    int n_chains;
    struct {
        mega_tensor *t;
        double each;
    } more[MORE_MOST]; /* parts of the loss besides (mega_run_more) */
    int n_more;
};

struct mega_stream {
    const struct mega_store *store;
    int64_t rows, piece, places;
    bool unlimited; /* some attention looks back to the row's start */
    int32_t *place; /* [rows] */
    struct mega_arena arena;
    struct stream_cell {
        mega_tensor value, next;
        bool set;
    } * cell; /* by mega_cell.index */
};

/* Sweeps (sweep.h). Whether a call, complete but for its outputs, may wait for one; before any
 * call is made: what it reads is computed, or waits in the sweep that it is about to join; adds
 * a complete call. Computes what waits, with memory for what those `n` tensors (or views) need.
 * Makes sure that t has its numbers. */
bool sweep_takes(const mega_run *r, const struct mega_call *c);
void sweep_meet(mega_run *r, const struct mega_call *c, bool takes);
void sweep_add(mega_run *r, struct record *rec);
void sweep_run(mega_run *r, mega_tensor *const *root, int n);
void sweep_need(mega_run *r, mega_tensor *t);
void sweep_back(mega_run *r, struct sweep *s);
void sweep_run_carry(mega_run *r, struct mega_carry *c);
/* computes a call now */
void run_forward(mega_run *r, const struct mega_call *c, enum mega_profile_pass pass,
    const struct mega_op *chain);

/* the region in whose place the present ops stand; NULL: none */
static inline const struct mega_op *run_chain(const mega_run *r)
{
    int n = r->n_chains < CHAIN_MOST ? r->n_chains : CHAIN_MOST;
    return n ? r->chain[n - 1] : NULL;
}

/* the gradient of t, made (unfilled) if there is none yet; NULL after an error */
mega_tensor *run_gradient(mega_run *r, mega_tensor *t);
/* walks all records back; none is left */
void run_walk_back(mega_run *r);
void block_backward(mega_run *r, struct record *record);
void run_record_block(mega_run *r, enum record_kind kind, struct block_record *b);
/* Passing values. At the end of a block that has them: the carry's stay, the others' place is
 * for the next block. On the way back, at the block's end record: all are made again. */
void passing_leave(mega_run *r, struct block_record *b, struct mega_carry *c);
void passing_make(mega_run *r, const struct record *end);

/* the carry's places, so that all of them can be walked alike; the number of them */
enum { CARRY_MOST = 256 };
int carry_slots(struct mega_carry *c, mega_tensor **slot[CARRY_MOST]);

/* forgets what was set by a run that failed */
void run_drop_cells(mega_run *r);

#endif
