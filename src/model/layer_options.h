/* Options that some layers of a Transformer have otherwise than the rest.
 *
 *   by_layer: "3-/4: rotary=none; 0 1: max_attend_past=64 attention_dropout=0.1"
 *
 * Layers count from 0, attentions and feed-forwards each for themselves, as in lists; "2-5" are
 * several, "3-" all from there on, "3-/4" every fourth of them. What comes later stands above
 * what came before. What layers share, and what passes from one to the next, is of all
 * together: it cannot stand there. */
#ifndef MEGA_MODEL_LAYER_OPTIONS_H
#define MEGA_MODEL_LAYER_OPTIONS_H

#include "model/transformer.h"

/* The options of the i-th attention, or feed-forward; of the text only what is there. */
struct mega_transformer_options mega_layer_options_at(
    const struct mega_transformer_options *o, int64_t i);

/* Does some layer have options of its own? */
bool mega_layer_options_given(const struct mega_transformer_options *o);

/* Refuses what is not understood, or belongs to all layers together, by name. */
mega_status mega_layer_options_check(const struct mega_transformer_options *o);

#endif
