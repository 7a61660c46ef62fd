/* Kernels held to the references of their ops: on the developer's machine by a test, on the
 * user's by `mega doctor --check`, before a measurement by `mega bench ops`. */
#ifndef MEGA_KERNEL_CHECK_H
#define MEGA_KERNEL_CHECK_H

#include "kernel/example.h"
#include "kernel/kernel.h"

enum { MEGA_CHECK_TEAMS = 4 };

struct mega_check {
    struct mega_arena example, results;
    struct mega_work work[MEGA_CHECK_TEAMS]; /* 1, 2, 3 and 5 threads */
    int64_t accepted, refused;               /* examples so far */
    double worst; /* largest error so far, as a share of what was allowed */
};

mega_status mega_check_init(struct mega_check *k);
void mega_check_done(struct mega_check *k);

/* Runs one kernel on one example, with and without a tape: outputs, gradients for wanted and
 * unwanted inputs, written and added, with outputs that no gradient reached; inputs and all
 * memory between and around rows must stay as they were, and every number of threads must give
 * the same bits. An example that the kernel refuses is counted, not judged. */
mega_status mega_check_example(
    struct mega_check *k, const struct mega_kernel_entry *kernel, const struct mega_example *e);

/* The same on all examples of the kernel's op, in float32 and bfloat16. */
mega_status mega_check_kernel(struct mega_check *k, const struct mega_kernel_entry *kernel);

/* The same for every kernel of the example's op that this machine can run. */
mega_status mega_check_all(struct mega_check *k, const struct mega_example *e);

#endif
