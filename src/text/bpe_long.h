/* Words of any length, a window at a time.
 *
 * Where two pieces meet in what a text became, no merge crossed, and whether one would have
 * depends on those two pieces alone. So a window may end anywhere: the next one begins with one
 * of its pieces, and if it makes that same piece again, what comes before it and what comes
 * after it are the pieces of the whole. */
#ifndef MEGA_TEXT_BPE_LONG_H
#define MEGA_TEXT_BPE_LONG_H

#include "text/bpe.h"

enum { MEGA_WORD_LONG = 1 << 14 }; /* bytes from which it is worth it */

/* A word whose symbols are made on demand. */
struct mega_long_word {
    /* makes the symbols of a part, at most one a byte; offset[i]: where symbol i begins,
     * UINT32_MAX if a window cannot begin there */
    size_t (*symbols)(void *arg, const char *text, size_t n, int32_t *symbol, uint32_t *offset);
    void (*emit)(void *arg, const int32_t *symbol, size_t n);
    void *arg;
    bool characters; /* a window ends where a character does */
};

mega_status mega_merges_apply_long(const struct mega_merges *m, struct mega_merging *w,
    const struct mega_long_word *word, const char *text, size_t n);

#endif
