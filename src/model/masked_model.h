/* A masked language model (BERT: Devlin et al., 2018): a Transformer that looks both ways, and
 * what is read off it, each where it is wanted.
 *
 *   h                                      features [B, T, D]
 *   pooled = tanh(h_0 W_p^T + b_p)         [B, D], of the first place
 *   logits = norm(act(h W_t^T + b_t)) E^T + b   [B, T, V]; E is the token table
 *   next   = pooled W_n^T + b_n            [B, 2]: does the second text follow the first? */
#ifndef MEGA_MODEL_MASKED_MODEL_H
#define MEGA_MODEL_MASKED_MODEL_H

#include "model/transformer.h"

struct mega_masked_model_options {
    struct mega_transformer_options encoder; /* vocabulary and ends are filled in */
    bool pooler, masked, next;
};

/* The rows of a recipe's section `model` beside the Transformer's, for the struct above. */
extern const struct mega_option mega_masked_model_options[];

struct mega_masked_model {
    struct mega_masked_model_options options;
    struct mega_transformer encoder;
    mega_tensor *pooler, *pooler_bias;      /* [D, D], [D], or NULL */
    mega_tensor *dense, *dense_bias, *bias; /* [D, D], [D], [V], or NULL */
    struct mega_norm norm;
    mega_tensor *next, *next_bias; /* [2, D], [2], or NULL */
};

/* Declares everything below the present prefix; refuses options that cannot be, by name. */
void mega_masked_model_build(mega_build *b, struct mega_masked_model *m,
    const struct mega_masked_model_options *options, int64_t vocabulary);

/* What one pass gives; NULL where the model has no such end. */
struct mega_masked_model_ends {
    mega_tensor *features, *pooled, *logits, *next;
};

/* ids [B, T] I32; types [B, T] I32 or NULL: all of type 0. */
void mega_masked_model_run(mega_run *r, const struct mega_masked_model *m, mega_tensor *ids,
    mega_tensor *types, const struct mega_rows *rows, struct mega_masked_model_ends *out);

/* What the task of masked tokens needs, of a model with the masked head; all types are 0.
 * ids [B, T] I32 -> states t [B, T, D]; t [.., D] -> logits [.., V]; the sum of -log p(target)
 * over the places that have one, target [B * T] I32 (negative: none), of which *each, if not
 * NULL, becomes the single terms [B * T]. */
mega_tensor *mega_masked_model_states(mega_run *r, const struct mega_masked_model *m,
    mega_tensor *ids, const struct mega_rows *rows);
mega_tensor *mega_masked_model_logits(
    mega_run *r, const struct mega_masked_model *m, mega_tensor *states);
mega_tensor *mega_masked_model_loss(mega_run *r, const struct mega_masked_model *m,
    mega_tensor *states, mega_tensor *target, double smoothing, mega_tensor **each);

#endif
