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
    struct block_record *block;  /* the others */
    size_t start;                /* OP: where its memory begins among the values */
};

struct block_record {
    struct mega_block block;
    struct mega_carry in, out; /* as they entered and left */
    const struct mega_rows *rows;
    size_t start; /* of the values when it was entered */
    size_t mark;  /* of the gradients' arena when the backward pass entered from the end */
};

/* the chosen kernel for (op, attributes, shapes, mode) */
struct memo_entry {
    uint64_t key; /* 0: free */
    const struct mega_kernel *kernel;
    void *prepared;
};
enum { CHAIN_MOST = 8 };   /* refused regions inside each other */
enum { MEMO_SIZE = 8192 }; /* entries; forgotten at a begin when three quarters are in use */

struct mega_run {
    mega_context *context;
    mega_dtype dtype; /* where the args do not say */
    struct mega_run_args args;
    struct mega_arena values, gradients;
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
    double flops;    /* of the ops that a gradient goes through, forward */
    size_t op_start; /* where the present op's memory begins among the values */
    /* on the way back */
    int depth;            /* blocks that we are in */
    size_t dead;          /* values from here to the end of the block are spare or dead */
    struct spare spare;   /* in a block: what died of it */
    struct spare carried; /* between blocks: gradients of carries that have been passed on */
    struct mega_profile *profile; /* or NULL */
    const struct mega_op
        *chain[CHAIN_MOST]; /* refused regions that we are in, innermost last */
    int n_chains;
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
/* forgets what was set by a run that failed */
void run_drop_cells(mega_run *r);

#endif
