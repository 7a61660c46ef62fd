/* Texts into a mapped file of tokens, kept for the next time. */
#ifndef MEGA_DATA_CORPUS_CACHE_H
#define MEGA_DATA_CORPUS_CACHE_H

#include "base/file.h"
#include "data/corpus.h"
#include "data/token_part.h"

struct mega_text_source {
    const char *what; /* "task.train" */
    const struct mega_names *files;
    int format; /* enum mega_corpus_format, of a text */
    const struct mega_corpus_options *options;
    const struct mega_text_encoder *encoder;
    const struct mega_log *log; /* or NULL */
};

/* The id that ends documents, or -1; refused where the tokenizer has none. */
mega_status mega_corpus_end_id(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e, int32_t *id);

/* Opens the tokens of texts: from the cache folder if they were made before, from the same
 * files (path, size, times), by the same tokenizer and options; else they are made. Any number
 * of processes may do so at once. What the cache cannot keep (standard input, a folder that is
 * not writable, cache "none") lies in a file without a name in TMPDIR, else /var/tmp. */
mega_status mega_corpus_tokens_open(
    struct mega_token_part *part, const struct mega_text_source *source, bool *was_cached);

#endif
