/* Problems of mega bench ops: one op at the sizes of a Mega layer of the LRA text recipe. */
#ifndef MEGA_CLI_BENCH_PROBLEM_H
#define MEGA_CLI_BENCH_PROBLEM_H

#include "op/contracts.h"

struct mega_problem {
    const char *name; /* "linear 128 -> 576" */
    const struct mega_op *op;
    const void *attr;
    /* shape of each input; a dimension of -1 is T; rank 0: absent */
    struct {
        int rank;
        int64_t dim[3];
    } in[MEGA_IN];
    bool ids; /* in[1] holds ids below in[0]'s rows */
};

extern const struct mega_problem mega_problems[]; /* ended by a NULL name */

/* A problem made real: inputs, outputs, what the kernel keeps, gradients. */
struct mega_trial {
    struct mega_call call;
    struct mega_grads grads;
    mega_tensor in[MEGA_IN], out[MEGA_OUT], saved[MEGA_SAVED], out_grad[MEGA_OUT],
        in_grad[MEGA_IN];
    struct mega_rows rows;
};

/* Rows of B x T places, random inputs; the kernel computes with a tape. */
mega_status mega_trial_open(struct mega_trial *t, const struct mega_problem *p,
    const struct mega_kernel *k, struct mega_work *work, int64_t B, int64_t T);
void mega_trial_close(struct mega_trial *t);
void mega_trial_forward(struct mega_trial *t);
void mega_trial_backward(struct mega_trial *t);

/* The largest difference between two trials' outputs and gradients, relative to the largest
 * value of each tensor. */
double mega_trial_difference(const struct mega_trial *a, const struct mega_trial *b);

#endif
