/* gated_output: a region, what follows the attention of a Mega block (section 2.3), at once:
 *   y = x + sigmoid(u) (drop(act(a + w (o silu(r)) + b)) - x)
 * It has no reference of its own: the chain gate, linear, gated_residual is its judge. */
#include "op/contracts.h"

enum {
    X = MEGA_GATED_OUTPUT_X,
    U = MEGA_GATED_OUTPUT_U,
    A = MEGA_GATED_OUTPUT_A,
    O = MEGA_GATED_OUTPUT_O,
    R = MEGA_GATED_OUTPUT_R,
    W = MEGA_GATED_OUTPUT_W,
    B = MEGA_GATED_OUTPUT_B
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X], *o = c->in[O], *w = c->in[W];
    int64_t D = mega_width(x), E = mega_width(o);
    if (!mega_same_shape(x, c->in[U])) return mega_op_refuse(c, "u", c->in[U], "x's shape");
    if (!mega_same_shape(x, c->in[A])) return mega_op_refuse(c, "a", c->in[A], "x's shape");
    if (mega_height(o) != mega_height(x)) return mega_op_refuse(c, "o", o, "as many rows as x");
    if (!mega_same_shape(o, c->in[R])) return mega_op_refuse(c, "r", c->in[R], "o's shape");
    if (mega_dim(w, 0) != D || mega_dim(w, 1) != E)
        return mega_op_refuse(c, "w", w, "[%lld, %lld]", (long long)D, (long long)E);
    if (mega_count(c->in[B]) != D)
        return mega_op_refuse(c, "the bias", c->in[B], "[%lld]", (long long)D);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 2 * (double)mega_height(c->in[X]) * (double)mega_count(c->in[W]);
}

const struct mega_op mega_op_gated_output = {
    .name = "gated_output",
    .n_in = 7,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_gated_output),
    .shape = shape,
    .cost = cost,
    .by_rows = 0x1Fu,
};
