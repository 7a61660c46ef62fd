/* Training tokenizers: words of the files are counted, then a trainer makes a tokenizer of
 * them. */
#ifndef MEGA_TEXT_TRAIN_H
#define MEGA_TEXT_TRAIN_H

#include "text/counts.h"
#include "text/tokenizer.h"

struct mega_tokenizer_trainer {
    const char *name;
    const char *about;
    /* counts the words, characters, ... of one file */
    mega_status (*count)(struct mega_counts *c, const char *name, const char *text, size_t n);
    mega_status (*make)(mega_tokenizer **out, const struct mega_counts *c,
        const struct mega_tokenizer_training *how);
};

extern const struct mega_tokenizer_trainer *const mega_tokenizer_trainers[]; /* ended by NULL */

/* Counts what lies between characters that separate, and with `lines` the line ends as "</s>".
 */
mega_status mega_count_words(struct mega_counts *c, const char *name, const char *text,
    size_t n, bool (*separates)(uint32_t code));

/* A dictionary file: the counts as lines, most frequent first; `size`: ids at most, with the
 * four special ones (0: all); padded to a multiple. */
mega_status mega_dictionary_print(const struct mega_counts *c, int32_t size, int64_t least,
    int32_t multiple, struct mega_text *out);

/* A tokenizer.json without pre-tokenizer and decoder, which `parts` adds; pieces by id, merges
 * as "a b". */
struct mega_json_model {
    const struct mega_vocab *pieces; /* special ones are added tokens */
    const char *const *merges;
    int32_t n_merges;
    const char *parts; /* "pre_tokenizer" to "decoder", with a comma behind each */
    const char *unk;   /* or NULL */
};
void mega_json_model_print(const struct mega_json_model *m, struct mega_text *out);

#endif
