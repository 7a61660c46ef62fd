/* What words became: language repeats itself, so most words are looked up, not encoded. */
#ifndef MEGA_TEXT_WORD_CACHE_H
#define MEGA_TEXT_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mega_word_cache {
    struct mega_word_slot {
        uint32_t hash, at; /* `at`: place in the store + 1; 0: free */
    } * slot;
    uint32_t mask, n;
    char *store; /* records: sizes, the word, padding, its ids */
    size_t used, room;
};

enum { MEGA_WORD_CACHED = 128 }; /* longer words are not kept */

/* The ids of a word, or NULL. */
const int32_t *mega_word_cache_find(
    const struct mega_word_cache *c, const char *word, size_t size, uint64_t hash, int32_t *n);

/* Remembers them; forgets everything when full or out of memory. */
void mega_word_cache_add(struct mega_word_cache *c, const char *word, size_t size,
    uint64_t hash, const int32_t *id, int32_t n);
void mega_word_cache_done(struct mega_word_cache *c);

#endif
