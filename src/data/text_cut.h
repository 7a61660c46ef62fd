/* Cutting long texts for encoders that do not say where they may be cut. */
#ifndef MEGA_DATA_TEXT_CUT_H
#define MEGA_DATA_TEXT_CUT_H

#include "data/text_encoder.h"

/* Looks for a blank between two words in the last third of a text such that the ids of the two
 * parts are those of the whole: what follows the text, far from there, then changes nothing
 * before the blank. *cut: bytes before it, whose ids are appended to `ids`; 0: no such place.
 */
mega_status mega_text_cut(const struct mega_text_encoder *e, const char *text, size_t n,
    bool begins, struct mega_token_list *ids, size_t *cut);

#endif
