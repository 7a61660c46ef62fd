/* The attention heads of a model and the blocks of its feed-forwards' channels, and models with
 * other ones: with gates, without some of them.
 *
 * A head goes with its columns of the query projection and its rows of the output's; the keys
 * and values of a group go with its last query head. Biases of the output stay, so does the
 * width of a head and the scale of its scores. Gates between 0 and 1, of a head and of its
 * group, are folded into the output projection. Blocks of channels are alike.
 *
 * A Megalodon's head takes its part of the output gate with it, too. Mega's attention is one
 * head; without any head a block of either has its moving average alone. */
#ifndef MEGA_MODEL_HEADS_H
#define MEGA_MODEL_HEADS_H

#include "layer/attention.h"
#include "layer/gated_attention.h"
#include "layer/megalodon.h"
#include "model/model.h"

/* One self-attention of a model. */
struct mega_model_attention {
    const char *path; /* of its block, as side outputs name it; borrowed from the model */
    int64_t heads;    /* before any was removed */
    const struct mega_kept_heads *kept;
    const struct mega_head_gates *gates;    /* a gate a head; of Mega those of branches */
    const struct mega_attention *attention; /* one of these */
    const struct mega_megalodon_attention *megalodon;
    const struct mega_gated_attention *mega;
};

/* All of them, from the first layer on. */
struct mega_model_heads {
    struct mega_model_attention *layer;
    int64_t layers, most; /* most: heads of a layer, before any was removed */
};

/* Refuses models without attention heads that could be removed. */
mega_status mega_model_heads_list(struct mega_model_heads *h, const mega_model *m);

/* The same, and refuses those of Mega and Megalodon, whose attention is not multi-head
 * attention as a Transformer has it. */
mega_status mega_model_heads_find(struct mega_model_heads *h, const mega_model *m);
void mega_model_heads_done(struct mega_model_heads *h);

/* The factor that evaluation has of the k-th head that is left: all gates together. */
double mega_model_head_gate(const struct mega_model_attention *a, int64_t k);

/* The body of a language model, masked or not, or classifier that is a Transformer; else NULL.
 */
const struct mega_transformer *mega_model_transformer(const mega_model *m);

/* Feed-forward number i, of models whose channels may have gates; NULL beyond the last. */
const struct mega_mlp *mega_model_mlp(const mega_model *m, int64_t i);

/* What a model with other heads is like. */
struct mega_model_heads_change {
    const char *kept;     /* lists as in kept_heads; NULL: as it is */
    const char *channels; /* as in kept_channels; NULL: as it is */
    int gates;            /* enum mega_gates of the new model's heads */
    bool fold; /* gates of the old one go into its projections, and other units than heads have
                  none; else gates are copied where both have them, and begin as options say */
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
