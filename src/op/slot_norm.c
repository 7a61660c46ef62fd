/* slot_norm: head_norm of learned keys x [H,N,d], whose heads lie one after the other: row s of
 * head h has the gains of head h. */
#include "op/head_norm.h"

enum { X = MEGA_HEAD_NORM_X, W = MEGA_HEAD_NORM_WEIGHT };

static int64_t groups_of(const struct mega_attr_head_norm *a)
{
    return a->groups > 0 ? a->groups : 1;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_head_norm *a = c->attr;
    const mega_tensor *x = c->in[X];
    if (x->rank != 3 || x->dim[2] % groups_of(a))
        return mega_op_refuse(
            c, "x", x, "[heads, slots, a multiple of %lld groups]", (long long)groups_of(a));
    if (c->in[W] && mega_count(c->in[W]) != x->dim[0] * x->dim[2])
        return mega_op_refuse(
            c, "weight", c->in[W], "[%lld, %lld]", (long long)x->dim[0], (long long)x->dim[2]);
    out[0] = mega_like(x, x->dtype);
    return MEGA_OK;
}

static struct mega_head_group group_of(const struct mega_call *c, int64_t i)
{
    const mega_tensor *x = c->in[X];
    int64_t groups = groups_of(c->attr), n = x->dim[2] / groups, row = i / groups;
    return (struct mega_head_group){ row, i % groups * n, n,
        row / x->dim[1] * x->dim[2] + i % groups * n };
}

static void forward(const struct mega_call *c)
{
    for (int64_t i = 0, n = mega_height(c->in[X]) * groups_of(c->attr); i < n; i++) {
        struct mega_head_group g = group_of(c, i);
        mega_head_forward(c, &g);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *grads)
{
    mega_grads_begin(grads);
    for (int64_t i = 0, n = mega_height(c->in[X]) * groups_of(c->attr); i < n; i++) {
        struct mega_head_group g = group_of(c, i);
        mega_head_backward(c, &g, grads);
    }
}

const struct mega_op mega_op_slot_norm = {
    .name = "slot_norm",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << W,
    .attr_size = sizeof(struct mega_attr_head_norm),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
