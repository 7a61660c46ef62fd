/* A causal Transformer as the body of a language model: what every decoder made of one shares.
 * A preset is a table of few options and a function that makes these of them. */
#ifndef MEGA_MODEL_TRANSFORMER_DECODER_H
#define MEGA_MODEL_TRANSFORMER_DECODER_H

#include "model/decoder.h"
#include "model/transformer.h"

struct mega_decoder_shape mega_transformer_shape(const struct mega_transformer_options *o);

/* A struct mega_transformer, declared; vocabulary and causality need not be set. */
void *mega_transformer_new(
    mega_build *b, struct mega_transformer_options o, const struct mega_vocabulary *v);

mega_tensor *mega_transformer_decode(
    mega_run *r, const void *self, mega_tensor *ids, const struct mega_rows *rows);
struct mega_output mega_transformer_output(const void *self);
struct mega_stack *mega_transformer_stack(void *self);

#define MEGA_TRANSFORMER_RUNS                                                                  \
    .features = mega_transformer_decode, .output = mega_transformer_output,                    \
    .stack = mega_transformer_stack

#endif
