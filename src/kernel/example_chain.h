/* The judge of a region: the references of its plain ops in a row, in double. */
#ifndef MEGA_KERNEL_EXAMPLE_CHAIN_H
#define MEGA_KERNEL_EXAMPLE_CHAIN_H

#include "op/op.h"

enum { MEGA_LINKS = 5, MEGA_LINK_IN = 4 };

/* A link's input: one of the region's, or what an earlier link made. */
#define MEGA_MADE(link) (-1 - (link))

/* One op of the chain. What a link makes goes into one later link, or is the region's result.
 */
struct mega_link {
    const struct mega_op *op;
    int in[MEGA_LINK_IN], n;
    const void *attr;
    uint64_t site;
};

void mega_chain_forward(const struct mega_call *c, const struct mega_link *links, int n);
void mega_chain_backward(
    const struct mega_call *c, struct mega_grads *g, const struct mega_link *links, int n);

#endif
