#include "op/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define X(name) extern const struct mega_op mega_op_##name;
#include "op/ops.def"
#undef X

#define X(name) &mega_op_##name,
const struct mega_op *const mega_ops[] = {
#include "op/ops.def"
    NULL
};
#undef X

const struct mega_op *mega_op_find(const char *name)
{
    for (const struct mega_op *const *op = mega_ops; *op; op++)
        if (!strcmp((*op)->name, name)) return *op;
    return NULL;
}

mega_tensor mega_like(const mega_tensor *t, mega_dtype dtype)
{
    mega_tensor out = mega_tensor_over(NULL, dtype, t->rank, t->dim);
    out.device = t->device;
    return out;
}

mega_tensor mega_shaped(
    mega_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    return mega_tensor_over(NULL, dtype, rank, (int64_t[]){ d0, d1, d2, d3 });
}

mega_tensor mega_absent(void)
{
    return (mega_tensor){ .rank = -1 };
}

mega_status mega_op_refuse(const struct mega_call *c, const char *what,
    const mega_tensor *found, const char *expected, ...)
{
    char shape[96], text[256];
    va_list args;
    va_start(args, expected);
    vsnprintf(text, sizeof text, expected, args);
    va_end(args);
    return mega_fail(MEGA_BAD_ARGUMENT, "%s: %s is %s, expected %s", c->op->name, what,
        mega_tensor_print(found, shape), text);
}

void mega_grads_begin(struct mega_grads *g)
{
    for (int i = 0; i < MEGA_IN; i++)
        if (g->in[i] && !(g->add >> i & 1)) mega_tensor_zero(g->in[i]);
}

void mega_op_cost(const struct mega_call *c, double *flops, double *bytes)
{
    *flops = 0;
    *bytes = 0;
    if (c->op->cost) {
        c->op->cost(c, flops, bytes);
        return;
    }
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i]) *bytes += (double)mega_size(c->in[i]);
    for (int i = 0; i < MEGA_OUT; i++)
        if (c->out[i]) *bytes += (double)mega_size(c->out[i]);
}

void mega_op_cost_back(const struct mega_call *c, double *flops, double *bytes)
{
    mega_op_cost(c, flops, bytes);
    *flops *= 2;
    *bytes *= 2;
}
