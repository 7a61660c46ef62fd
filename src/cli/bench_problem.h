/* Problems of mega bench ops: one op at the sizes of a Mega layer of the LRA text recipe. */
#ifndef MEGA_CLI_BENCH_PROBLEM_H
#define MEGA_CLI_BENCH_PROBLEM_H

#include "op/contracts.h"

/* What stands for the rows and for the places of a row in a problem's shapes. */
enum { MEGA_PROBLEM_B = -1, MEGA_PROBLEM_T = -2 };

struct mega_problem {
    const char *name; /* "linear 128 -> 576" */
    const struct mega_op *op;
    const void *attr;
    int64_t in[MEGA_IN][3]; /* shapes, ended by 0; all 0: absent */
    int64_t ids;            /* in[1] holds ids below this; 0: numbers as the others do */
    uint32_t fixed;         /* bit i: in[i] wants no gradient */
};

extern const struct mega_problem mega_problems[]; /* ended by a NULL name */

/* A problem made real: inputs, outputs, what the kernel keeps, gradients. */
struct mega_trial {
    struct mega_call call;
    struct mega_grads grads;
    mega_tensor in[MEGA_IN], out[MEGA_OUT], saved[MEGA_SAVED], out_grad[MEGA_OUT],
        in_grad[MEGA_IN];
    struct mega_rows rows;
    const char *refusal; /* why the kernel does not take it; NULL: it does, and can be run */
};

/* Rows of B x T places, random inputs; the kernel computes with a tape. */
mega_status mega_trial_open(struct mega_trial *t, const struct mega_problem *p,
    const struct mega_kernel *k, struct mega_work *work, int64_t B, int64_t T,
    mega_dtype activations);
void mega_trial_close(struct mega_trial *t);
void mega_trial_forward(struct mega_trial *t);
void mega_trial_backward(struct mega_trial *t);

#endif
