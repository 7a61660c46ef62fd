/* A language model: a decoder, and what follows its features.
 *
 *   features(ids)          [B, T, D]
 *   logits(features)       [B, T, V]: of the token that follows each place
 *   loss(features, next)   summed over the places whose next token is known */
#ifndef MEGA_MODEL_LANGUAGE_MODEL_H
#define MEGA_MODEL_LANGUAGE_MODEL_H

#include "model/decoder.h"

enum { MEGA_DECODER_OPTIONS_SIZE = 4096 };

/* Everything that decides its shape. */
struct mega_language_model_config {
    int decoder;                                                   /* place in mega_decoders */
    _Alignas(16) unsigned char options[MEGA_DECODER_OPTIONS_SIZE]; /* the decoder's own */
    struct mega_vocabulary vocabulary;
};

extern const struct mega_option mega_language_model_options[]; /* the decoder's name alone */

struct mega_language_model {
    const struct mega_decoder_type *decoder;
    void *self; /* the decoder's */
    struct mega_vocabulary vocabulary;
    struct mega_decoder_shape shape;
    struct mega_output output;
};

void mega_language_model_build(mega_build *b, struct mega_language_model *m,
    const struct mega_language_model_config *config);

/* ids [B, T] I32 -> [B, T, D]; runs with a stream attached, too. */
mega_tensor *mega_language_model_features(mega_run *r, const struct mega_language_model *m,
    mega_tensor *ids, const struct mega_rows *rows);

/* x [.., D] -> logits (with adaptive softmax: log-probabilities) [.., V]. */
mega_tensor *mega_language_model_logits(
    mega_run *r, const struct mega_language_model *m, mega_tensor *x);

/* x [B, T, D], next [B * T] I32 (negative: not counted) -> sum of -log p(next), [] F32. With
 * `each`, *each becomes [B * T] F32: the single terms, 0 where not counted (no gradient).
 * `smoothing`: label smoothing of the sum. `rows` are those of the features. */
mega_tensor *mega_language_model_loss(mega_run *r, const struct mega_language_model *m,
    mega_tensor *x, mega_tensor *next, const struct mega_rows *rows, double smoothing,
    mega_tensor **each);

#endif
