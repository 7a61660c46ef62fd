/* y = x + drop(W_2 drop(act(W_1 norm(x) + b_1)) + b_2), the norm before (prenorm) or around all
 * of it (postnorm). */
#include "layer/feed_forward.h"

void mega_feed_forward_build(
    mega_build *b, struct mega_feed_forward *f, const struct mega_feed_forward_options *o)
{
    *f = (struct mega_feed_forward){ .options = *o };
    size_t entered = mega_build_enter(b, "norm");
    mega_norm_build(b, &f->norm, (enum mega_norm_type)o->norm, o->width, o->affine);
    mega_build_leave(b, entered);
    mega_mlp_build(b, &f->mlp,
        &(struct mega_mlp_options){
            .width = o->width,
            .hidden = o->hidden,
            .act = o->act,
            .up_bias = true,
            .down_bias = true,
            .dropout = o->hidden_dropout,
            .feature_dropout = o->feature_dropout,
            .gates = o->gates,
            .block = o->block,
            .kept = o->kept,
            .layer = o->layer,
        });
    f->drop = (struct mega_dropout){ "fc2", o->dropout, f->mlp.drop.kind };
}

mega_tensor *mega_feed_forward_run(mega_run *r, const struct mega_feed_forward *f,
    mega_tensor *x, const struct mega_rows *rows)
{
    bool prenorm = f->options.prenorm;
    mega_tensor *z = prenorm ? mega_norm_run(r, &f->norm, x) : x;
    mega_tensor *y = mega_mlp_add(r, &f->mlp, z, x, &f->drop, rows);
    return prenorm ? y : mega_norm_run(r, &f->norm, y);
}
