/* Rows of unequal length that end together. */
#ifndef MEGA_LAYER_LEFT_PADDING_H
#define MEGA_LAYER_LEFT_PADDING_H

#include "graph/run.h"

/* Rows for all layers of a pass: where rows have left padding and no documents, each becomes a
 * document that begins with its first real place, so that chunks are cut, positions counted and
 * states begun as they would be without the padding. Else rows itself. A stream has no left
 * padding: rows of unequal length say so by len. */
const struct mega_rows *mega_rows_past_padding(mega_run *r, const struct mega_rows *rows);

#endif
