#include "layer/dropout.h"

#include <string.h>

#include "graph/ops.h"

bool mega_dropout_active(const mega_run *r, const struct mega_dropout *d)
{
    return (mega_run_mode(r) & MEGA_RUN_TRAIN) && d->p > 0;
}

mega_tensor *mega_dropout_run(
    mega_run *r, const struct mega_dropout *d, mega_tensor *x, const struct mega_rows *rows)
{
    if (!mega_dropout_active(r, d)) return x;
    struct mega_attr_dropout a;
    memset(&a, 0, sizeof a);
    a.p = d->p;
    a.kind = d->kind;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_dropout, .in = { x }, .rows = rows, .attr = &a },
        d->site);
}
