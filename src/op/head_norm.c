/* head_norm: queries, keys or values normalised head by head. Each head of d channels, in
 * groups of them, with gains w of its own (w + 1 with unit_offset):
 *
 *   l2:  y = w x / max(|x|, eps)                 (2010.04245)
 *   rms: y = w x / sqrt(mean(x^2) + eps)         (2302.05442) */
#include "op/head_norm.h"

enum { X = MEGA_HEAD_NORM_X, W = MEGA_HEAD_NORM_WEIGHT };

static int64_t groups_of(const struct mega_attr_head_norm *a)
{
    return a->groups > 0 ? a->groups : 1;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_head_norm *a = c->attr;
    int64_t width = mega_width(c->in[X]);
    if (a->heads < 1 || width % (a->heads * groups_of(a)))
        return mega_op_refuse(c, "x", c->in[X], "[.., a multiple of %lld heads of %lld groups]",
            (long long)a->heads, (long long)groups_of(a));
    if (c->in[W] && mega_count(c->in[W]) != width)
        return mega_op_refuse(c, "weight", c->in[W], "[%lld, %lld]", (long long)a->heads,
            (long long)(width / a->heads));
    out[0] = mega_activation(c, c->in[X]);
    return MEGA_OK;
}

static struct mega_head_group group_of(const struct mega_call *c, int64_t i)
{
    const struct mega_attr_head_norm *a = c->attr;
    int64_t all = a->heads * groups_of(a), n = mega_width(c->in[X]) / all;
    return (struct mega_head_group){ i / all, i % all * n, n, i % all * n };
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_head_norm *a = c->attr;
    for (int64_t i = 0, n = mega_height(c->in[X]) * a->heads * groups_of(a); i < n; i++) {
        struct mega_head_group g = group_of(c, i);
        mega_head_forward(c, &g);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *grads)
{
    const struct mega_attr_head_norm *a = c->attr;
    mega_grads_begin(grads);
    for (int64_t i = 0, n = mega_height(c->in[X]) * a->heads * groups_of(a); i < n; i++) {
        struct mega_head_group g = group_of(c, i);
        mega_head_backward(c, &g, grads);
    }
}

const struct mega_op mega_op_head_norm = {
    .name = "head_norm",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << W,
    .attr_size = sizeof(struct mega_attr_head_norm),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u << X,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
