/* exit_gate: of what is left of each row's probability, `rest`, the share sigmoid(z) leaves
 * here and the others go on. Chained over steps, the last of which takes all that remains,
 * shares are a distribution p, and its entropy is the sum of the steps' parts by the chain
 * rule:
 *
 *   H(p) = sum_t rest_t h(z_t),  h(z) = log(1 + exp z) - z sigmoid(z),  h'(z) = -z s (1 - s)
 *
 * (looped language models: 2510.25741). */
#include <math.h>

#include "op/contracts.h"

enum { Z = MEGA_EXIT_GATE_Z, REST = MEGA_EXIT_GATE_REST, TARGET = MEGA_EXIT_GATE_TARGET };
enum {
    SHARE = MEGA_EXIT_GATE_SHARE,
    REMAINS = MEGA_EXIT_GATE_REMAINS,
    ENTROPY = MEGA_EXIT_GATE_ENTROPY
};

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *z = c->in[Z], *rest = c->in[REST], *target = c->in[TARGET];
    if (mega_width(z) != 1) return mega_op_refuse(c, "z", z, "[.., 1]");
    bool real = rest && (rest->dtype == MEGA_F32 || rest->dtype == mega_wide_type(c));
    if (rest && (!real || !mega_same_shape(rest, z)))
        return mega_op_refuse(c, "rest", rest, "the shape of z, F32");
    if (target && (target->dtype != MEGA_I32 || mega_count(target) != mega_height(z)))
        return mega_op_refuse(c, "target", target, "one class I32 for each of %lld rows",
            (long long)mega_height(z));
    out[SHARE] = out[REMAINS] = mega_like(z, mega_wide_type(c));
    out[ENTROPY] = mega_shaped(mega_wide_type(c), 0, 0, 0, 0, 0);
    return MEGA_OK;
}

/* what a row's step is made of */
struct gate {
    double z, leaves, stays; /* sigmoid(z), sigmoid(-z) */
    double rest, entropy;    /* h(z) */
    bool counts;             /* in the entropy */
};

static struct gate gate_at(const struct mega_call *c, int64_t r)
{
    const mega_tensor *target = c->in[TARGET];
    double z = mega_get(c->in[Z], r, 0), small = exp(-fabs(z)), large = 1 / (1 + small);
    double leaves = z < 0 ? small * large : large, stays = z < 0 ? large : small * large;
    /* log(1 + exp z) - z sigmoid(z), even in z */
    double entropy = log1p(small) + fabs(z) * small * large;
    return (struct gate){ z, leaves, stays, c->in[REST] ? mega_get(c->in[REST], r, 0) : 1,
        entropy, !target || ((const int32_t *)target->data)[r] >= 0 };
}

static void forward(const struct mega_call *c)
{
    double sum = 0;
    for (int64_t r = 0; r < mega_height(c->in[Z]); r++) {
        struct gate g = gate_at(c, r);
        mega_put(c->out[SHARE], r, 0, g.rest * g.leaves);
        mega_put(c->out[REMAINS], r, 0, g.rest * g.stays);
        if (g.counts) sum += g.rest * g.entropy;
    }
    mega_put(c->out[ENTROPY], 0, 0, sum);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    double entropy = mega_grad_out(g, ENTROPY, 0, 0);
    mega_grads_begin(g);
    for (int64_t r = 0; r < mega_height(c->in[Z]); r++) {
        struct gate k = gate_at(c, r);
        double leaves = mega_grad_out(g, SHARE, r, 0), stays = mega_grad_out(g, REMAINS, r, 0),
               own = k.counts ? entropy : 0;
        mega_grad_add(g, Z, r, 0, k.rest * k.leaves * k.stays * (leaves - stays - own * k.z));
        mega_grad_add(g, REST, r, 0, leaves * k.leaves + stays * k.stays + own * k.entropy);
    }
}

const struct mega_op mega_op_exit_gate = {
    .name = "exit_gate",
    .n_in = 3,
    .n_out = 3,
    .optional = 1u << REST | 1u << TARGET,
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
