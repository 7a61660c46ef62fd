/* Megalodon from tokens to logits (Ma et al., 2024), by the names of the official files:
 *
 *   embed.weight                         [B, T] ids -> x [B, T, D], scaled, dropped
 *   layers.<i>.mega, layers.<i>.nffn     the layers (layer/megalodon.h)
 *   output.final_norm, output.output     a timestep norm of its own, logits [B, T, V'] */
#ifndef MEGA_MODEL_MEGALODON_H
#define MEGA_MODEL_MEGALODON_H

#include "layer/megalodon.h"
#include "model/stack.h"

struct mega_megalodon_model_options {
    struct mega_megalodon_options layer; /* of each; .layer is set by its place */
    int64_t vocabulary, output;          /* V; V', 0: V */
    int64_t layers;
    int64_t pad; /* the id whose embedding gets no gradient; -1: none */
    bool scale_embedding, share_embedding; /* times sqrt(D); the table is the output, too */
    int recompute;                         /* enum mega_recompute */
};

struct mega_megalodon_layer {
    char path[32]; /* "layers.0" */
    struct mega_megalodon_block block;
};

struct mega_megalodon {
    struct mega_megalodon_model_options options;
    mega_tensor *table; /* [V, D] */
    struct mega_dropout drop_embed;
    struct mega_megalodon_layer *layer;
    struct mega_stack stack;
    struct mega_timestep_norm final_norm;
    mega_tensor *output; /* [V', D], the table itself if shared */
};

/* Declares everything below the present prefix; refuses options that cannot be, by name. */
void mega_megalodon_build(mega_build *b, struct mega_megalodon *m,
    const struct mega_megalodon_model_options *options);

/* ids [B, T] I32 -> x [B, T, D], what the output matrix reads. */
mega_tensor *mega_megalodon_features(mega_run *r, const struct mega_megalodon *m,
    mega_tensor *ids, const struct mega_rows *rows);

/* ids [B, T] I32 -> logits [B, T, V']. With a stream attached any number of new tokens. */
mega_tensor *mega_megalodon_run(mega_run *r, const struct mega_megalodon *m, mega_tensor *ids,
    const struct mega_rows *rows);

#endif
