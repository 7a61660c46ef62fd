/* bfloat16 on kernels that take float32 alone: every kernel of the tables has a widened one
 * behind it, which takes the bfloat16 calls that the kernel itself refuses. It saves memory,
 * not time. */
#ifndef MEGA_KERNEL_WIDEN_H
#define MEGA_KERNEL_WIDEN_H

#include "op/op.h"

struct mega_widened {
    struct mega_kernel outer; /* the first member: what the tables hold */
    const struct mega_kernel *inner;
};

bool mega_widened_accepts(const struct mega_call *c, const char **why);
void mega_widened_keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED]);
void mega_widened_forward(const struct mega_call *c);
void mega_widened_backward(const struct mega_call *c, struct mega_grads *g);

static inline bool mega_is_widened(const struct mega_kernel *k)
{
    return k->forward == mega_widened_forward;
}

#define MEGA_WIDENED(label, float_kernel)                                                      \
    {                                                                                          \
        .outer = { .name = "wide " label,                                                      \
            .accepts = mega_widened_accepts,                                                   \
            .keep = mega_widened_keep,                                                         \
            .forward = mega_widened_forward,                                                   \
            .backward = mega_widened_backward },                                               \
        .inner = (float_kernel)                                                                \
    }

#endif
