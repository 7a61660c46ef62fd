/* The two-way encoder of Long Range Arena (Mega section 8.1): embedding, blocks, final norm. A
 * mixer that owns its block is followed by the normalised feed-forward of Mega; any other is
 * the first of a Transformer's two sublayers. */
#ifndef MEGA_MODEL_ENCODER_H
#define MEGA_MODEL_ENCODER_H

#include "layer/feed_forward.h"
#include "layer/positions.h"
#include "layer/sublayer.h"
#include "mixer/mixer.h"
#include "model/stack.h"

/* The recipe's section `model`, without the mixer's own keys. */
struct mega_encoder_options {
    int mixer, act, norm; /* place in mega_mixers; enum mega_act, enum mega_norm_type */
    int positions;        /* enum mega_positions_type */
    int64_t layers, width, ffn, longest;
    int recompute; /* enum mega_recompute */
    bool gated, prenorm, embed_norm, feature_dropout;
    double dropout, hidden_dropout;
};
extern const struct mega_option mega_encoder_options[];

enum { MEGA_MIXER_OPTIONS_SIZE = 256 };

struct mega_encoder_layer {
    char path[64];
    const struct mega_mixer *mixer;
    void *self;
    bool owns_block, has_feed_forward;
    struct mega_feed_forward feed_forward;         /* after a mixer that owns its block */
    struct mega_sublayer around_mixer, around_mlp; /* else */
    struct mega_mlp mlp;
};

/* What the text is made of. */
struct mega_inputs {
    bool numbers;       /* one real number a place (pixels, samples) instead of token ids */
    int64_t vocabulary; /* ids 0 ... V-1 */
    int64_t pad;        /* the id that fills rows */
};

struct mega_encoder {
    struct mega_encoder_options options;
    struct mega_inputs inputs;
    int64_t multiple;
    mega_tensor *table;                       /* tokens: [V, D] */
    mega_tensor *number_weight, *number_bias; /* numbers: [D], [D] */
    struct mega_positions positions;
    struct mega_norm embed_norm, final_norm;
    struct mega_encoder_layer *layer;
    struct mega_stack stack;
    struct mega_dropout drop_embed;
};

/* Declares everything below the present prefix ("encoder.encoder"). */
void mega_encoder_build(mega_build *b, struct mega_encoder *e,
    const struct mega_encoder_options *options, const void *mixer_options,
    const struct mega_inputs *inputs);

/* text: ids [B, T] I32 or numbers [B, T] F32 -> [B, T', D], zero at places that are not real;
 * T' > T where a chunked text is padded to a multiple (as the official encoder does). *rows
 * becomes the rows of the result. */
mega_tensor *mega_encoder_run(mega_run *r, const struct mega_encoder *e, mega_tensor *text,
    const struct mega_rows **rows);

#endif
