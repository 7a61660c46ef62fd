/* Dictionaries of words (spec: fairseq's dict.txt), alone or behind BPE codes. */
#ifndef MEGA_TEXT_DICTIONARY_H
#define MEGA_TEXT_DICTIONARY_H

#include "text/tokenizer.h"

/* Fills an empty vocabulary: <s> <pad> </s> <unk>, then a word a line. */
mega_status mega_dictionary_read(
    struct mega_vocab *v, const char *name, const char *text, size_t n);

/* Sets t->special to those four. */
void mega_dictionary_specials(mega_tokenizer *t);

/* What Python's split() takes for white space. */
bool mega_word_separates(uint32_t code);

/* Calls take() for each word; with w->frame, emits the end of the text at each line's end. */
mega_status mega_each_word(const mega_tokenizer *t, struct mega_workspace *w, const char *text,
    size_t n, bool (*separates)(uint32_t code),
    mega_status (*take)(
        const mega_tokenizer *t, struct mega_workspace *w, const char *word, size_t size));

#endif
