/* Which options of a Transformer go together (spec: section 5). */
#ifndef MEGA_MODEL_TRANSFORMER_RULES_H
#define MEGA_MODEL_TRANSFORMER_RULES_H

#include "model/transformer.h"

/* Refuses what cannot be, naming both options and the reason. */
mega_status mega_transformer_check(const struct mega_transformer_options *o);

/* The n-th thing about these options that is allowed and hardly meant, or NULL. */
const char *mega_transformer_doubt(const struct mega_transformer_options *o, int n);

/* Why a text cannot go through this model piece by piece (spec: BREAKS_CACHE), or NULL. */
const char *mega_transformer_breaks_stream(const struct mega_transformer_options *o);

#endif
