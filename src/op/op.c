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

mega_dtype mega_wide_type(const struct mega_call *c)
{
    return c->dtype == MEGA_F64 ? MEGA_F64 : MEGA_F32;
}

mega_tensor mega_activation(const struct mega_call *c, const mega_tensor *x)
{
    bool wider = c->dtype == MEGA_BF16 && x->dtype == MEGA_F32;
    return mega_like(x, wider ? MEGA_F32 : c->dtype);
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

static double size_of(const mega_tensor *t)
{
    return t ? (double)mega_size(t) : 0;
}

/* in[i] is the same tensor as an input before it */
static bool given_before(const struct mega_call *c, int i)
{
    for (int k = 0; k < i; k++)
        if (c->in[k] == c->in[i]) return true;
    return false;
}

/* bytes of the inputs, each tensor once, without those in `except` */
static double input_bytes(const struct mega_call *c, uint32_t except)
{
    double bytes = 0;
    for (int i = 0; i < MEGA_IN; i++)
        if (!(except >> i & 1) && !given_before(c, i)) bytes += size_of(c->in[i]);
    return bytes;
}

void mega_op_cost(const struct mega_call *c, double *flops, double *bytes)
{
    *flops = 0;
    *bytes = input_bytes(c, 0);
    for (int i = 0; i < MEGA_OUT; i++) *bytes += size_of(c->out[i]);
    if (c->op->cost) c->op->cost(c, flops, bytes);
}

void mega_op_cost_back(const struct mega_call *c, double *flops, double *bytes)
{
    uint32_t unwanted = 0;
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && !c->in[i]->wants_grad) unwanted |= 1u << i;
    mega_op_cost(c, flops, bytes);
    *flops *= 2;
    *bytes = input_bytes(c, c->op->unread) + input_bytes(c, unwanted);
    for (int i = 0; i < MEGA_OUT; i++) *bytes += size_of(c->out[i]);
}
