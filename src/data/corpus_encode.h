/* Encoding: documents of text files become a file of tokens. */
#ifndef MEGA_DATA_CORPUS_ENCODE_H
#define MEGA_DATA_CORPUS_ENCODE_H

#include "data/corpus_cache.h"
#include "data/token_file.h"

/* Reads all files of a source into an open writer. Empty files are remarked upon. */
mega_status mega_corpus_encode(
    struct mega_token_writer *w, const struct mega_text_source *source, int32_t end);

#endif
