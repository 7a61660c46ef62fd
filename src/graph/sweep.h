/* Sweeps: ops that look at rows one by one go over them together.
 *
 * Inside a block (mega_run_block) an op whose outputs' rows need the same rows of its inputs
 * alone (mega_op.by_rows), or in attention those of their window, is not computed when it is
 * called: it waits, with those called before it, until something needs what they make. Then all
 * that wait go over the rows at once, block after block, each block through all ops: what one
 * op leaves in a core's cache the next one finds there. The backward pass goes the same way
 * through the block's ops in reverse.
 *
 * What ops make for others of their sweep alone has memory of its own only where the backward
 * pass reads it and cannot easily make it again (sweep_keep.c); else it lies in the lane's
 * scratch. So do gradients of what a sweep makes. Gradients
 * of parameters are summed in groups of blocks, these in order: no sum depends on the number of
 * threads.
 *
 * The kernels are those that compute the ops alone: they see a call with fewer rows and a work
 * of one thread (base/work.h). */
#ifndef MEGA_GRAPH_SWEEP_H
#define MEGA_GRAPH_SWEEP_H

#include "graph/run_state.h"

struct sweep {
    struct sweep *before; /* of the run, newest first */
    int n;
    struct record *call[SWEEP_CALLS];
    int64_t B, T;
    int64_t unit; /* rows of a block */
    bool windows; /* of which there are whole ones in it */
    const struct mega_rows *rows;
    bool leaves_padding; /* blocks of nothing else */
    int64_t weights;     /* numbers of the parameters that are summed */
    uint32_t remade;     /* bit k: the backward pass makes the outputs of call k again */
    bool walked;         /* the backward pass has been here */
};

int64_t sweep_blocks(const struct sweep *s); /* of all rows */
int64_t sweep_groups(const struct sweep *s); /* of blocks, each with sums of its own */

bool sweep_makes(const struct record *rec, const mega_tensor *t);
/* Memory for a tensor that waits; false after an error. */
bool sweep_give_memory(mega_run *r, mega_tensor *t);
/* Decides what is kept for the backward pass, once it is known what the sweep's calls read. */
void sweep_keep(mega_run *r, struct sweep *s);

/* ---- its calls as one block sees them: sweep_plan.c ---- */

enum place_kind { PLACE_WHOLE, PLACE_ROWS, PLACE_SCRATCH, PLACE_VIEW };
enum slope_kind { SLOPE_NONE, SLOPE_SCRATCH, SLOPE_VIEW, SLOPE_FULL, SLOPE_SUM };

/* Bytes of a block in a lane's scratch, and when they are in use (sweep_room.c). */
struct room {
    short from, to; /* moments of a pass, the last one too; from < 0: never */
    size_t at, size;
};

/* A tensor of the sweep, and its gradient. */
struct place {
    mega_tensor *t;
    enum place_kind kind;
    short base; /* VIEW: the base's place */
    bool made;  /* by this sweep */
    enum slope_kind slope;
    mega_tensor *full; /* FULL, SUM: the gradient where it is whole */
    size_t offset;     /* SUM: bytes in a group's part */
    bool filled;       /* something has arrived */
    bool parted;       /* its views are apart: each gradient can be written to its columns */
    bool cleared;      /* SCRATCH: a block begins with zeros, for views to add to */
    struct room value_room, slope_room; /* of SCRATCH */
};

struct step {
    struct record *rec;
    short in[MEGA_IN], out[MEGA_OUT], saved[MEGA_SAVED]; /* places, -1: absent */
    bool again;                                          /* in the backward pass */
    uint32_t arrived;           /* bit i: a gradient has come for out[i] */
    uint32_t wants, add, clear; /* bit i: of in[i] */
    uint32_t begins; /* bit i: the first to touch a cleared gradient, that of in[i] */
};

struct plan {
    mega_run *r;
    const struct sweep *s;
    int n;
    struct place *place;
    struct step step[SWEEP_CALLS];
    size_t room; /* bytes of a lane, for a block's values and gradients */
    struct mega_shelf shelf;
    double *seconds; /* [threads, calls, 2]: of a profile; else NULL */
};

/* One block of rows in one lane. */
struct lane {
    const struct plan *p;
    int64_t row, m; /* of all rows */
    bool left_out;  /* nothing but padding that nobody asks for */
    struct mega_rows rows;
    int32_t len, number, first;
    mega_tensor *value, *slope; /* of each place */
    char *room;
    struct mega_work *inner;
    struct mega_arena *scratch;
    double *seconds; /* [calls, 2] or NULL */
};

bool plan_make(struct plan *p, mega_run *r, const struct sweep *s); /* false after an error */
void plan_lane(struct lane *l, const struct plan *p, struct mega_arena *scratch);
/* the values of block i */
void plan_block(struct lane *l, int64_t i);
/* a tensor of the block like t, in the lane's room */
mega_tensor plan_scratch(const struct lane *l, const mega_tensor *t, const struct room *room);
/* the block's rows of t */
mega_tensor plan_rows(const struct lane *l, const mega_tensor *t);
/* columns of base that view t has */
mega_tensor plan_view(const mega_tensor *base, const mega_tensor *t);
struct mega_call plan_call(struct lane *l, const struct step *s);
/* gives values, or all that the backward pass puts there, their bytes of a lane's room: once a
 * pass, before its lanes */
void plan_room_forward(struct plan *p);
void plan_room_back(struct plan *p);

void plan_forward(struct lane *l, const struct step *s);
/* makes the outputs of a step once more */
void plan_make_again(struct lane *l, const struct step *s);
/* what a kernel kept is enough for that; else it computes */
static inline bool plan_again(const struct mega_call *c)
{
    return c->kernel->again && c->saved[0] && c->saved[0]->dtype == MEGA_F32;
}
/* a profile's lines, by shares of what all lanes took since `start` */
void plan_profile(const struct plan *p, bool backward, double start);

#endif
