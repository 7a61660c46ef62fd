/* y = x + drop(W_2 drop(act(W_1 norm(x) + b_1)) + b_2), the norm before (prenorm) or around all
 * of it (postnorm). */
#include "layer/feed_forward.h"

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

mega_tensor *mega_feed_forward_run(mega_run *r, const struct mega_feed_forward *f,
    mega_tensor *x, const struct mega_rows *rows)
{
    const struct mega_feed_forward_options *o = &f->options;
    mega_tensor *t = o->prenorm ? mega_norm_run(r, &f->norm, x) : x;
    t = linear(r, t, f->up, f->up_bias, (enum mega_act)o->act); /* [B, T, F] */
    t = mega_dropout_run(r, &f->drop_hidden, t, rows);
    t = linear(r, t, f->down, f->down_bias, MEGA_ACT_LINEAR); /* [B, T, D] */
    t = add(r, mega_dropout_run(r, &f->drop_out, t, rows), x);
    return o->prenorm ? t : mega_norm_run(r, &f->norm, t);
}
