/* Parsed sentences in CoNLL-U (universaldependencies.org/format): the words of a sentence, whom
 * each depends on, and how. */
#ifndef MEGA_STUDY_CONLLU_H
#define MEGA_STUDY_CONLLU_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fail.h"

struct mega_conllu_word {
    const char *form, *relation; /* "nsubj"; subtypes ("nsubj:pass") as they stand */
    int32_t head;                /* the word it depends on, from 0; -1: the root */
    bool space;                  /* a blank follows */
};

struct mega_conllu_sentence {
    struct mega_conllu_word *word;
    int32_t n;
};

struct mega_conllu {
    struct mega_arena memory;
    struct mega_conllu_sentence *sentence;
    int64_t n;
};

/* Reads a whole file. Comments, ranges ("1-2") and empty words ("1.1") are passed over; what is
 * no sentence is refused with its line. `name` is for messages. */
mega_status mega_conllu_parse(
    struct mega_conllu *c, const char *name, const char *bytes, size_t n);
void mega_conllu_done(struct mega_conllu *c);

#endif
