/* Forgetful causal masking (2210.13432): training hides some places from all queries, heads and
 * layers, from the query at the same place too; never the first place of a document. And
 * contexts that lose places. */
#ifndef MEGA_LAYER_HIDDEN_KEYS_H
#define MEGA_LAYER_HIDDEN_KEYS_H

#include "graph/run.h"

/* The rows of keys for all layers of a pass, drawn anew each step: of each row up to `most` of
 * its places are hidden, a share drawn too, or exactly `most` if `fixed`. `rows` itself outside
 * training or where nothing is to be hidden. */
const struct mega_rows *mega_hidden_keys(
    mega_run *r, const struct mega_rows *rows, double most, bool fixed);

/* The rows of a context of which training keeps a share 1 - drop of each row's real places, at
 * least one, drawn anew each step; `rows` itself outside training. */
const struct mega_rows *mega_kept_context(
    mega_run *r, const struct mega_rows *rows, double drop);

#endif
