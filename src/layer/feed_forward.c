/* y = x + drop(W_2 drop(act(W_1 norm(x) + b_1)) + b_2), the norm before (prenorm) or around all
 * of it (postnorm). */
#include "layer/feed_forward.h"

#include <string.h>

#include "graph/ops.h"

void mega_feed_forward_build(
    mega_build *b, struct mega_feed_forward *f, const struct mega_feed_forward_options *o)
{
    *f = (struct mega_feed_forward){ .options = *o };
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "norm");
    mega_norm_build(b, &f->norm, (enum mega_norm_type)o->norm, o->width, o->affine);
    mega_build_leave(b, entered);
    f->up = mega_param_add(b, "fc1.weight", small, 2, (int64_t[]){ o->hidden, o->width });
    f->up_bias = mega_param_add(b, "fc1.bias", zero, 1, &o->hidden);
    f->down = mega_param_add(b, "fc2.weight", small, 2, (int64_t[]){ o->width, o->hidden });
    f->down_bias = mega_param_add(b, "fc2.bias", zero, 1, &o->width);
    enum mega_dropout_kind kind =
        o->feature_dropout ? MEGA_DROPOUT_FEATURES : MEGA_DROPOUT_ELEMENTS;
    f->drop_hidden = (struct mega_dropout){ "fc1", o->hidden_dropout, kind };
    f->drop_out = (struct mega_dropout){ "fc2", o->dropout, kind };
}

/* everything between the norms at once, where a kernel takes it; else NULL */
static mega_tensor *region(mega_run *r, const struct mega_feed_forward *f, mega_tensor *t,
    mega_tensor *residual, const struct mega_rows *rows)
{
    struct mega_attr_feed_forward a;
    memset(&a, 0, sizeof a);
    a.act = (enum mega_act)f->options.act;
    a.kind = f->drop_out.kind;
    a.dropout[0] = f->drop_hidden.p;
    a.dropout[1] = f->drop_out.p;
    a.site[0] = mega_run_site(r, f->drop_hidden.site);
    a.site[1] = mega_run_site(r, f->drop_out.site);
    struct mega_call c = { .op = &mega_op_feed_forward, .attr = &a, .rows = rows };
    c.in[MEGA_FEED_FORWARD_X] = t;
    c.in[MEGA_FEED_FORWARD_RESIDUAL] = residual;
    c.in[MEGA_FEED_FORWARD_UP] = f->up;
    c.in[MEGA_FEED_FORWARD_UP_BIAS] = f->up_bias;
    c.in[MEGA_FEED_FORWARD_DOWN] = f->down;
    c.in[MEGA_FEED_FORWARD_DOWN_BIAS] = f->down_bias;
    return mega_run_region(r, &c, NULL) ? c.out[0] : NULL;
}

mega_tensor *mega_feed_forward_run(mega_run *r, const struct mega_feed_forward *f,
    mega_tensor *x, const struct mega_rows *rows)
{
    const struct mega_feed_forward_options *o = &f->options;
    mega_tensor *t = o->prenorm ? mega_norm_run(r, &f->norm, x) : x;
    mega_tensor *y = region(r, f, t, x, rows);
    if (y || mega_run_status(r)) return o->prenorm ? y : mega_norm_run(r, &f->norm, y);
    t = linear(r, t, f->up, f->up_bias, (enum mega_act)o->act); /* [B, T, F] */
    t = mega_dropout_run(r, &f->drop_hidden, t, rows);
    t = linear(r, t, f->down, f->down_bias, MEGA_ACT_LINEAR); /* [B, T, D] */
    t = add(r, mega_dropout_run(r, &f->drop_out, t, rows), x);
    mega_run_chain_end(r);
    return o->prenorm ? t : mega_norm_run(r, &f->norm, t);
}
