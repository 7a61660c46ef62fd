#include "layer/mlp.h"

#include <string.h>

#include "graph/ops.h"
#include "layer/constant.h"

const struct mega_mlp_names mega_mlp_official = { "fc1", "fc3", "fc2" };

/* a projection [rows, columns], and its bias if there is a place for it */
static void declare(mega_build *b, const struct mega_init *init, const char *name, int64_t rows,
    int64_t columns, mega_tensor **weight, mega_tensor **bias)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    *weight =
        mega_param_add(b, "weight", init ? *init : small, 2, (int64_t[]){ rows, columns });
    if (bias) *bias = mega_param_add(b, "bias", zero, 1, &rows);
    mega_build_leave(b, entered);
}

/* blocks of channels, where something is said of them */
static void leave_blocks(mega_build *b, struct mega_mlp *f)
{
    const struct mega_mlp_options *o = &f->options;
    const char *option = o->gates.channels ? "channel_gates" : "kept_channels";
    bool norm = o->slot.post_norm || o->act == MEGA_MLP_SOLU;
    f->hidden = o->hidden;
    if (b->status || (!o->gates.channels && (!o->kept || !*o->kept))) return;
    if (o->block < 1 || o->hidden % o->block)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "%s: a feed-forward of %lld channels has no whole blocks of %lld: expected a "
            "channel_block that divides it",
            option, (long long)o->hidden, (long long)o->block);
    else if (norm)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "%s does not go with a norm inside the feed-forward (ff_post_act_norm, solu, "
            "subln): "
            "it mixes the channels",
            option);
    if (b->status) return;
    int64_t blocks = o->hidden / o->block;
    mega_kept_build(b, &f->kept, &mega_kept_channels_words, o->kept, o->layer, blocks, blocks);
    f->hidden = f->kept.heads * o->block;
    mega_unit_gates_build(
        b, &f->gates, "channel_gate", o->gates.channels, f->kept.heads, o->block, &o->gates);
}

/* what is left without channels */
static void declare_bias(mega_build *b, struct mega_mlp *f, const char *name)
{
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    if (f->options.down_bias)
        f->down_bias = mega_param_add(b, "bias", zero, 1, &f->options.width);
    mega_build_leave(b, entered);
}

void mega_mlp_build(mega_build *b, struct mega_mlp *f, const struct mega_mlp_options *o)
{
    *f = (struct mega_mlp){ .options = *o };
    f->options.init = NULL; /* of the caller */
    leave_blocks(b, f);
    const struct mega_mlp_names *names = o->names ? o->names : &mega_mlp_official;
    int64_t D = o->width, F = f->hidden;
    if (!F && !b->status) {
        declare_bias(b, f, names->down);
        return;
    }
    declare(b, o->init, names->up, F, D, &f->up, o->up_bias ? &f->up_bias : NULL);
    if (o->gated)
        declare(b, o->init, names->gate, F, D, &f->gate, o->up_bias ? &f->gate_bias : NULL);
    declare(b, o->init, names->down, D, F, &f->down, o->down_bias ? &f->down_bias : NULL);
    if (o->slot.mult_bias)
        f->mult =
            mega_param_add(b, "mult", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 1, &F);
    f->has_norm = o->slot.post_norm || o->act == MEGA_MLP_SOLU;
    if (f->has_norm) {
        struct mega_norm_options norm = o->norm;
        norm.width = F;
        size_t entered = mega_build_enter(b, "act_norm");
        mega_norm_declare(b, &f->norm, &norm);
        mega_build_leave(b, entered);
    }
    f->drop = (struct mega_dropout){ "fc1", o->dropout,
        o->feature_dropout ? MEGA_DROPOUT_FEATURES : MEGA_DROPOUT_ELEMENTS };
}

bool mega_mlp_is_nothing(const struct mega_mlp *f)
{
    return !f->hidden && !f->down_bias;
}

static mega_tensor *clamped(
    mega_run *r, mega_tensor *z, mega_tensor *w, mega_tensor *bias, double c)
{
    mega_tensor *h = linear(r, z, w, bias, MEGA_ACT_LINEAR);
    return c > 0 ? soft_clamp(r, h, c) : h;
}

/* what the last layer reads, before dropout: [B, T, F] */
static mega_tensor *inside(
    mega_run *r, const struct mega_mlp *f, mega_tensor *z, const struct mega_rows *rows)
{
    const struct mega_mlp_slot_options *o = &f->options.slot;
    bool solu = f->options.act == MEGA_MLP_SOLU;
    enum mega_act act = solu ? MEGA_ACT_LINEAR : (enum mega_act)f->options.act;
    mega_tensor *h;
    if (f->options.gated)
        h = gate(r, clamped(r, z, f->up, f->up_bias, o->clamp),
            clamped(r, z, f->gate, f->gate_bias, o->gate_clamp), act);
    else if (o->clamp > 0)
        h = activation(r, clamped(r, z, f->up, f->up_bias, o->clamp), act);
    else
        h = linear(r, z, f->up, f->up_bias, act);
    if (solu) h = gate(r, h, softmax(r, h), MEGA_ACT_LINEAR);
    if (f->mult) h = scale(r, h, f->mult, 1);
    h = mega_head_gates_run(r, &f->gates, h, rows);
    return f->has_norm ? mega_norm_run(r, &f->norm, h) : h;
}

mega_tensor *mega_mlp_run(
    mega_run *r, const struct mega_mlp *f, mega_tensor *z, const struct mega_rows *rows)
{
    if (!f->hidden) return mega_constant_run(r, f->down_bias, z, rows);
    mega_tensor *h = inside(r, f, z, rows);
    h = mega_dropout_run(r, &f->drop, h, rows);
    return linear(r, h, f->down, f->down_bias, MEGA_ACT_LINEAR); /* [B, T, D] */
}

/* the plain form with the same kind of dropout at both places is a region */
static bool has_region(const struct mega_mlp *f, const struct mega_dropout *drop)
{
    bool gates = f->gates.log_a || f->gates.open;
    return f->hidden && !gates && !f->gate && f->up_bias && f->down_bias &&
           f->drop.kind == drop->kind && !f->has_norm && !f->mult &&
           !(f->options.slot.clamp > 0);
}

/* all at once, where a kernel takes it; else NULL */
static mega_tensor *region(mega_run *r, const struct mega_mlp *f, mega_tensor *z,
    mega_tensor *residual, const struct mega_dropout *drop, const struct mega_rows *rows)
{
    struct mega_attr_feed_forward a;
    memset(&a, 0, sizeof a);
    a.act = (enum mega_act)f->options.act;
    a.kind = drop->kind;
    a.dropout[0] = f->drop.p;
    a.dropout[1] = drop->p;
    a.site[0] = mega_run_site(r, f->drop.site);
    a.site[1] = mega_run_site(r, drop->site);
    struct mega_call c = { .op = &mega_op_feed_forward, .attr = &a, .rows = rows };
    c.in[MEGA_FEED_FORWARD_X] = z;
    c.in[MEGA_FEED_FORWARD_RESIDUAL] = residual;
    c.in[MEGA_FEED_FORWARD_UP] = f->up;
    c.in[MEGA_FEED_FORWARD_UP_BIAS] = f->up_bias;
    c.in[MEGA_FEED_FORWARD_DOWN] = f->down;
    c.in[MEGA_FEED_FORWARD_DOWN_BIAS] = f->down_bias;
    return mega_run_region(r, &c, NULL) ? c.out[0] : NULL;
}

mega_tensor *mega_mlp_add(mega_run *r, const struct mega_mlp *f, mega_tensor *z,
    mega_tensor *residual, const struct mega_dropout *drop, const struct mega_rows *rows)
{
    bool asked = has_region(f, drop);
    mega_tensor *y = asked ? region(r, f, z, residual, drop, rows) : NULL;
    if (y || mega_run_status(r)) return y;
    y = add(r, mega_dropout_run(r, drop, mega_mlp_run(r, f, z, rows), rows), residual);
    if (asked) mega_run_chain_end(r);
    return y;
}
