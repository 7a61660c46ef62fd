/* feed_forward: a region, the plain ops of layer/feed_forward.c at once:
 *   y = residual + drop_1(down drop_0(act(up x + up_bias)) + down_bias)
 * It has no reference of its own: the chain is its judge. */
#include "op/contracts.h"

enum { X = MEGA_FEED_FORWARD_X, RESIDUAL, UP, UP_BIAS, DOWN, DOWN_BIAS };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *up = c->in[UP], *down = c->in[DOWN];
    int64_t D = mega_width(x), F = mega_dim(up, 0);
    if (!mega_same_shape(x, c->in[RESIDUAL]))
        return mega_op_refuse(c, "the residual", c->in[RESIDUAL], "the shape of x");
    if (mega_dim(up, 1) != D) return mega_op_refuse(c, "up", up, "[F, %lld]", (long long)D);
    if (mega_dim(down, 0) != D || mega_dim(down, 1) != F)
        return mega_op_refuse(c, "down", down, "[%lld, %lld]", (long long)D, (long long)F);
    if (mega_count(c->in[UP_BIAS]) != F)
        return mega_op_refuse(c, "up's bias", c->in[UP_BIAS], "[%lld]", (long long)F);
    if (mega_count(c->in[DOWN_BIAS]) != D)
        return mega_op_refuse(c, "down's bias", c->in[DOWN_BIAS], "[%lld]", (long long)D);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 4 * (double)mega_height(c->in[X]) * (double)mega_count(c->in[UP]);
}

const struct mega_op mega_op_feed_forward = {
    .name = "feed_forward",
    .n_in = 6,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_feed_forward),
    .shape = shape,
    .unread = 1u << RESIDUAL,
    .cost = cost,
    .by_rows = 3u,
};
