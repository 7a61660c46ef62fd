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
    int64_t from, to; /* where some rows are wide */
};

/* Describes the call, forward (g NULL) or backward, as kernel k sees it; without memory: enough
 * to ask `accepts`. */
void mega_wide_describe(struct mega_wide *w, const struct mega_call *c,
    const struct mega_grads *g, const struct mega_kernel *k);

/* Whole tensors, in the calling thread's scratch and by all threads. */
void mega_wide_open(struct mega_wide *w, const struct mega_call *c, const struct mega_grads *g,
    const struct mega_kernel *k);
void mega_wide_close(struct mega_wide *w);

/* Rows from ... to - 1 of every bfloat16 tensor, which all have as many, in `scratch`, by the
 * calling thread. The rows have their own numbers; there are no others. */
void mega_wide_open_rows(struct mega_wide *w, const struct mega_call *c,
    const struct mega_grads *g, int64_t from, int64_t to, struct mega_arena *scratch);
void mega_wide_close_rows(struct mega_wide *w);

/* Every bfloat16 tensor of the call has `rows` rows. */
bool mega_wide_by_rows(const struct mega_call *c, int64_t rows);

#endif
