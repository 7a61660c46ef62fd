/* The parts of reading a tokenizer.json. */
#ifndef MEGA_TEXT_TOKENIZER_JSON_H
#define MEGA_TEXT_TOKENIZER_JSON_H

#include "format/node.h"
#include "text/tokenizer.h"

/* Gives every piece the surface that the "decoder" makes of it, and t->joining what it does to
 * a whole text. Without a decoder (NULL or null) bytes are bytes, and pieces stand side by
 * side, with blanks between them if the pre-tokenizer drops blanks. */
mega_status mega_decoder_read(mega_tokenizer *t, const struct mega_document *d,
    const struct mega_node *node, bool byte_level, bool drops);

#endif
