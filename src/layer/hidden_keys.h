/* Forgetful causal masking (2210.13432): training hides some places from all queries, heads and
 * layers, from the query at the same place too; never the first place of a document. */
#ifndef MEGA_LAYER_HIDDEN_KEYS_H
#define MEGA_LAYER_HIDDEN_KEYS_H

#include "graph/run.h"

/* The rows of keys for all layers of a pass, drawn anew each step: of each row up to `most` of
 * its places are hidden, a share drawn too, or exactly `most` if `fixed`. `rows` itself outside
 * training or where nothing is to be hidden. */
const struct mega_rows *mega_hidden_keys(
    mega_run *r, const struct mega_rows *rows, double most, bool fixed);

#endif
