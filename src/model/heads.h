/* The attention heads of a model, and models with other ones: with gates, without some heads.
 *
 * A head goes with its columns of the query projection and its rows of the output's; the keys
 * and values of a group go with its last query head. Biases of the output stay, so does the
 * width of a head and the scale of its scores. A gate between 0 and 1 is folded into the output
 * projection. */
#ifndef MEGA_MODEL_HEADS_H
#define MEGA_MODEL_HEADS_H

#include "layer/attention.h"
#include "model/model.h"

/* One self-attention of a model. */
struct mega_model_attention {
    const char *path; /* of its block, as side outputs name it; borrowed from the model */
    const struct mega_attention *attention;
};

/* All of them, from the first layer on. */
struct mega_model_heads {
    struct mega_model_attention *layer;
    int64_t layers, most; /* most: heads of a layer, before any was removed */
};

/* Refuses models without attention heads that could be told apart. */
mega_status mega_model_heads_find(struct mega_model_heads *h, const mega_model *m);
void mega_model_heads_done(struct mega_model_heads *h);

/* What a model with other heads is like. */
struct mega_model_heads_change {
    const char *kept; /* lists as in kept_heads; NULL: as it is */
    int gates;        /* enum mega_gates of the new model */
    bool fold;        /* gates of the old one go into its projections; else they are copied
                         where both have them, and begin as options say */
    const char *task; /* JSON object that the new configuration gets as "task", or NULL */
    bool for_training;
};

/* A new model, whose parameters are the old one's. A decoder that is a Transformer becomes the
 * decoder `transformer`, which can say all this. Refuses heads that are not there any more. */
mega_status mega_model_heads_change(
    mega_model **out, const mega_model *m, const struct mega_model_heads_change *change);

/* The text of its config.json. */
mega_status mega_model_heads_config(
    const mega_model *m, const char *task, struct mega_text *to);

/* Fills the parameters of `to` from `from` by name: all of them, heads' gates aside. */
mega_status mega_model_take(mega_model *to, const mega_model *from);

#endif
