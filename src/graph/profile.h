/* Where a step's time goes: every op and every stage of the step, summed.
 *
 * A run with a profile times each op, forward and backward; whoever drives the run adds the
 * stages that are no ops (batch, clipping, optimiser) and the steps themselves, so that what
 * nobody accounts for is the rest. Without a profile a run pays one branch an op; with one it
 * pays two readings of the clock, and a warm step still allocates nothing. */
#ifndef MEGA_GRAPH_PROFILE_H
#define MEGA_GRAPH_PROFILE_H

#include "base/clock.h"
#include "base/text.h"
#include "kernel/peak.h"

enum mega_profile_pass {
    MEGA_PROFILE_FORWARD,
    MEGA_PROFILE_AGAIN, /* forward once more, in a block that recomputes */
    MEGA_PROFILE_BACKWARD,
    MEGA_PROFILE_STAGE /* no op */
};

enum { MEGA_PROFILE_LINES = 512, MEGA_PROFILE_CHAINS = 16 };

/* One op by one kernel on one set of shapes in one pass; or a stage. Sums over all steps. */
struct mega_profile_line {
    uint64_t key; /* 0: free */
    const char *name, *kernel;
    enum mega_profile_pass pass;
    char shapes[48]; /* of its inputs: equal ones once, vectors left out */
    int64_t calls;
    double seconds, flops, bytes;
};

/* A region that no kernel took: time spent in the plain ops in its place. */
struct mega_profile_chain {
    const struct mega_op *region;
    int64_t calls;
    double seconds;
};

struct mega_profile {
    bool any_rows; /* set by the owner: lines do not tell batches of different sizes apart */
    int64_t steps;
    double seconds;                                    /* of the steps, from end to end */
    struct mega_profile_line line[MEGA_PROFILE_LINES]; /* a hash table */
    struct mega_profile_chain chain[MEGA_PROFILE_CHAINS];
};

mega_status mega_profile_new(struct mega_profile **out);
void mega_profile_free(struct mega_profile *p);
void mega_profile_forget(struct mega_profile *p); /* all sums: after warming up */

/* Now, by the clock; 0 without a profile. What follows takes such a start. */
static inline double mega_profile_start(const struct mega_profile *p)
{
    return p ? mega_clock_s() : 0;
}

/* Since `start`: one op, below the refused region `chain` (NULL: below none); a region that was
 * refused; a stage, whose name stays borrowed, with its least bytes; a whole step. All but the
 * first two do nothing without a profile. */
void mega_profile_call(struct mega_profile *p, const struct mega_call *c,
    enum mega_profile_pass pass, const struct mega_op *chain, double start);
/* the same, of so many seconds */
void mega_profile_spent(struct mega_profile *p, const struct mega_call *c,
    enum mega_profile_pass pass, const struct mega_op *chain, double seconds);
void mega_profile_refused(struct mega_profile *p, const struct mega_op *region);
void mega_profile_stage(struct mega_profile *p, const char *name, double bytes, double start);
void mega_profile_step(struct mega_profile *p, double start);

/* A table, worst first: a line for each op and stage, the rest, the step, and what ran in plain
 * chains because no region took it. */
void mega_profile_print(
    const struct mega_profile *p, const struct mega_peak *peak, struct mega_text *to);

/* The same as one JSON object. */
void mega_profile_print_json(
    const struct mega_profile *p, const struct mega_peak *peak, struct mega_text *to);

#endif
