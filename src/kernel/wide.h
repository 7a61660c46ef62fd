/* A call with bfloat16 activations as a float32 kernel sees it: the same call, each bfloat16
 * tensor replaced by a float32 one in scratch. What is read is widened before the kernel runs;
 * what it made is narrowed afterwards, rounded to nearest even.
 *
 * Whole tensors, for kernels that know nothing of bfloat16 (widen.h); or some rows of them, for
 * kernels that go through blocks of rows: then a widened block never leaves the cache. */
#ifndef MEGA_KERNEL_WIDE_H
#define MEGA_KERNEL_WIDE_H

#include "op/op.h"

enum { MEGA_WIDE_MOST = 2 * MEGA_IN + 2 * MEGA_OUT + MEGA_SAVED };

struct mega_wide {
    struct mega_call c; /* all that it names is float32 */
    struct mega_grads g;
    struct mega_wide_pair {
        const mega_tensor *narrow;
        mega_tensor wide;
        unsigned use;
    } pair[MEGA_WIDE_MOST]; /* a tensor that stands twice in the call has one */
    int n;
    int64_t from, to; /* rows; to < 0: all */
};

/* Describes the call, forward (g NULL) or backward, without memory: enough to ask `accepts`.
 */
void mega_wide_describe(
    struct mega_wide *w, const struct mega_call *c, const struct mega_grads *g);

/* Whole tensors, in the calling thread's scratch and by all threads. */
void mega_wide_open(struct mega_wide *w, const struct mega_call *c, const struct mega_grads *g);
void mega_wide_close(struct mega_wide *w);

#endif
