/* Decoders: from tokens to features that know the past alone; the bodies of language models.
 *
 * A decoder is one file and one line in decoders.def: an option table, parameters by the names
 * of its official files, one forward for whole rows and for pieces of a stream. What follows
 * the features (logits, losses) is language_model.c, over the output that the decoder names. */
#ifndef MEGA_MODEL_DECODER_H
#define MEGA_MODEL_DECODER_H

#include "layer/adaptive_softmax.h"
#include "model/stack.h"

/* What the tokens are. */
struct mega_vocabulary {
    int64_t size; /* V: ids 0 ... V-1 */
    int64_t pad;  /* the id that fills rows and learns nothing; -1: none */
};

/* The output layer: one matrix, bands of words, or a function of its own. */
struct mega_output {
    mega_tensor *weight, *bias;                   /* [V, D]; [V] or NULL */
    const struct mega_adaptive_softmax *adaptive; /* or NULL; then there is no matrix */
    /* x [.., D] -> logits, where they are more than one linear layer; else NULL */
    mega_tensor *(*logits)(mega_run *r, const void *self, mega_tensor *x);
    /* the loss of what features gave in training, where that is not the logits' cross entropy;
     * else NULL. As mega_language_model_loss. */
    mega_tensor *(*loss)(mega_run *r, const void *self, mega_tensor *x, mega_tensor *next,
        double smoothing, mega_tensor **each);
    const void *self; /* theirs */
};

/* What is known before anything is built. */
struct mega_decoder_shape {
    int64_t layers, width;
    int64_t chunk;                 /* of attention; 0: none: it looks back to the start */
    int64_t longest;               /* places that a text can have; 0: any number */
    enum mega_recompute recompute; /* as said, resolved */
};

struct mega_decoder_type {
    const char *name, *title; /* title: for people */
    const struct mega_option *options;
    size_t options_size;
    struct mega_decoder_shape (*shape)(const void *options);
    /* refuses options that do not go together; NULL: all do, or building tells */
    mega_status (*check)(const void *options);
    /* the n-th thing about them that is hardly meant, or NULL; may be NULL itself */
    const char *(*doubt)(const void *options, int n);
    void *(*build)(mega_build *b, const void *options,
        const struct mega_vocabulary *v); /* borrowed; NULL: b->status */
    mega_tensor *(*features)(mega_run *r, const void *self, mega_tensor *ids,
        const struct mega_rows *rows); /* ids [B, T] I32 -> [B, T, D]; in training what the
                                          output's loss reads */
    struct mega_output (*output)(const void *self);
    struct mega_stack *(*stack)(void *self);
};

/* All of decoders.def, ended by NULL, and their names in that order. */
extern const struct mega_decoder_type *const mega_decoders[];
#define MEGA_DECODER_CHOICES "gpt2|llama|mega|megalodon|transformer"

#endif
