/* The option table of a Transformer, and the other words by which its options go. */
#ifndef MEGA_MODEL_TRANSFORMER_OPTIONS_H
#define MEGA_MODEL_TRANSFORMER_OPTIONS_H

#include "model/transformer.h"

/* For struct mega_transformer_options. */
extern const struct mega_option mega_transformer_table[];

/* The same without those of the output layer, which an encoder does not have. */
extern const struct mega_option mega_transformer_encoder_table[];

#endif
