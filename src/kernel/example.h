/* Example calls of every op: what kernels are checked on and references are differentiated on.
 *
 * Each op of ops.def has a generator (mega_example_<op>, in an example_*.c; without one the
 * library does not link). Examples run through the attributes, present and absent inputs, odd
 * and empty sizes, strided rows and all that rows can say; they are the same every time. */
#ifndef MEGA_KERNEL_EXAMPLE_H
#define MEGA_KERNEL_EXAMPLE_H

#include "base/arena.h"
#include "op/contracts.h"

enum { MEGA_EXAMPLES = 64 }; /* of each op */

struct mega_example {
    struct mega_call call; /* inputs filled; outputs, kernel and work are the user's to set */
    const struct mega_kernel *judge; /* the op's reference; a region's chain of references */
    uint32_t wants;                  /* inputs that may have a gradient */
    uint32_t gives;                  /* outputs whose gradient counts */
    double tolerance; /* of a float32 kernel, as a share of a tensor's largest element */
    char text[160];   /* "norm 12: [3, 5, 7] F32, ..." */
    void *memory;     /* all that the example holds, not to be changed; NULL: not watched */
    size_t bytes;
};

/* Makes example i (0 <= i < MEGA_EXAMPLES) in `arena`, which keeps it. `dtype` is that of
 * activations (F64: of parameters too); `small`: a few elements a tensor. */
mega_status mega_example_make(struct mega_example *out, struct mega_arena *arena,
    const struct mega_op *op, int i, mega_dtype dtype, bool small);

#endif
