/* Codes of subword-nmt (Sennrich et al. 2016): merges inside words, pieces joined by "@@". */
#ifndef MEGA_TEXT_CODES_H
#define MEGA_TEXT_CODES_H

#include "text/bpe.h"
#include "text/tokenizer.h"

struct mega_codes {
    struct mega_vocab symbol; /* texts as in the file: "th", or "the</w>" at a word's end */
    struct mega_merges merges;
    int32_t *id;      /* of each symbol, in the vocabulary; NULL until that is known */
    bool end_alone;   /* version 0.1: "</w>" is a symbol of its own */
    int32_t word_end; /* that symbol */
};

/* Reads the file into empty codes whose vocabularies live in `arena`. */
mega_status mega_codes_read(struct mega_codes *c, struct mega_arena *arena, const char *name,
    const char *text, size_t n);
void mega_codes_done(struct mega_codes *c);

/* The pieces of a word without white space: calls take() with each as it is written ("th@@",
 * "is"). */
mega_status mega_codes_each_piece(const struct mega_codes *c, struct mega_merging *w,
    const char *word, size_t n, mega_status (*take)(void *arg, const char *piece, size_t size),
    void *arg);

#endif
