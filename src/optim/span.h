/* Spans: the ranges of the flat parameter arrays that optimisers walk. */
#ifndef MEGA_OPTIM_SPAN_H
#define MEGA_OPTIM_SPAN_H

#include <stdbool.h>

#include "base/work.h"

/* One parameter name's range. Tables are sorted by offset and spans do not overlap; what no
 * span covers (frozen names) is left alone. */
struct mega_span {
    int64_t offset, count; /* elements */
    float rate, decay;     /* factors on the learning rate and the weight decay, usually 1 */
    int64_t steps;         /* updates so far */
    bool touched; /* a gradient came since the last update; if not, the span is left alone */
    double norm;  /* of its gradient, set by mega_grad_norm */
};

/* Visits all elements of all spans in parallel. The arrays are cut into pieces of one size and
 * a lane is a piece, so that what is visited together depends on shapes alone. A visit gets the
 * part of a span that lies in a piece, as offsets into the arrays, and a slot of its own: that
 * of span s in piece p is p + s, and there are mega_span_slots of them. `cost` is a rough count
 * of the scalar operations on an element. */
typedef void mega_span_visit(
    void *arg, const struct mega_span *span, int64_t begin, int64_t end, int64_t slot);
void mega_span_walk(struct mega_work *work, const struct mega_span *span, int n_spans,
    double cost, mega_span_visit *visit, void *arg);

int64_t mega_span_slots(const struct mega_span *span, int n_spans);

/* The slots of span number s, in order of offsets: from `*first`, returns how many. */
int64_t mega_span_slots_of(const struct mega_span *span, int s, int64_t *first);

#endif
