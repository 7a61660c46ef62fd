/* Which options of a Transformer go together (spec: section 5). */
#ifndef MEGA_MODEL_TRANSFORMER_RULES_H
#define MEGA_MODEL_TRANSFORMER_RULES_H

#include "model/transformer.h"

/* Refuses what cannot be, naming both options and the reason. */
mega_status mega_transformer_check(const struct mega_transformer_options *o);

/* The n-th thing about these options that is allowed and hardly meant, or NULL. */
const char *mega_transformer_doubt(const struct mega_transformer_options *o, int n);

/* The name of the first option that is neither as its table has it nor zero and that is not
 * among `known` (ended by NULL): what a reader that knows those alone would miss. NULL: there
 * is none. */
const char *mega_transformer_unusual(
    const struct mega_transformer_options *o, const char *const known[]);

/* Names of the core: sizes, norms, positions, plain feed-forwards, dropout, gates of heads. */
extern const char *const mega_transformer_core[];

/* Options that a preset made, which says nothing but the core: all others become what they are
 * in a table by default. */
void mega_transformer_complete(struct mega_transformer_options *o);

/* Why a text cannot go through this model piece by piece (spec: BREAKS_CACHE), or NULL. */
const char *mega_transformer_breaks_stream(const struct mega_transformer_options *o);

#endif
