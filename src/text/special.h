/* Special and added tokens: texts that are one token wherever they stand. */
#ifndef MEGA_TEXT_SPECIAL_H
#define MEGA_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "text/trie.h"
#include "text/vocab.h"

struct mega_added {
    struct mega_span text;
    int32_t id;
    bool special;        /* a token only when encoding is asked for specials; others always */
    bool single_word;    /* not inside a word */
    bool lstrip, rstrip; /* takes the white space before, after it */
    bool normalized;     /* looked for in the normalised text */
};

struct mega_specials {
    struct mega_added *added;
    int32_t n, room;
    struct mega_trie trie[2]; /* over the raw, the normalised text */
};

mega_status mega_specials_add(struct mega_specials *s, const struct mega_added *added);
void mega_specials_done(struct mega_specials *s);

/* The first token in text[from ... n): *start and *stop frame it, white space that it takes
 * included. NULL: there is none. */
const struct mega_added *mega_specials_find(const struct mega_specials *s, bool normalized,
    bool specials, const char *text, size_t n, size_t from, size_t *start, size_t *stop);

#endif
