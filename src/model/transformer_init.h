/* How a Transformer's weights begin where its options ask for something else than N(0, 0.02^2):
 * another deviation, the gains that go with DeepNorm (2203.00555) and sub-LN (2210.06423),
 * small attention (1910.05895), branches that are zero at first. */
#ifndef MEGA_MODEL_TRANSFORMER_INIT_H
#define MEGA_MODEL_TRANSFORMER_INIT_H

#include "model/transformer.h"

/* The factor of the stream: as said, or DeepNorm's. */
double mega_transformer_alpha(const struct mega_transformer_options *o);

/* DeepNorm's and sub-LN's gain of values, outputs and feed-forwards; 1: none. */
double mega_transformer_gain(const struct mega_transformer_options *o);

/* Changes the beginnings of what has been declared below the present prefix. */
void mega_transformer_init(mega_build *b, const struct mega_transformer *m);

#endif
