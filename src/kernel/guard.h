/* Tensors with a moat: memory before, behind and between the rows is filled with signalling
 * NaNs, so that whatever reads there spoils its result and whatever writes there is seen. */
#ifndef MEGA_KERNEL_GUARD_H
#define MEGA_KERNEL_GUARD_H

#include "base/arena.h"
#include "tensor/tensor.h"

struct mega_guarded {
    mega_tensor t;
    unsigned char *base;
    size_t bytes; /* of the whole, moat included */
};

/* A tensor of `like`'s type and shape, rows `gap` elements further apart than dense; its
 * elements are NaNs too. data NULL if there is no memory. */
struct mega_guarded mega_guard(struct mega_arena *a, const mega_tensor *like, int64_t gap);

/* True if nothing but elements has changed. */
bool mega_guard_intact(const struct mega_guarded *g);

#endif
