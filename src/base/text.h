/* A text that grows: append, never lose an error. */
#ifndef MEGA_BASE_TEXT_H
#define MEGA_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

struct mega_text {
    char *data; /* NUL-terminated once anything was added; may hold NULs itself */
    size_t size, room;
    bool failed; /* an allocation failed: later additions do nothing */
};

void mega_text_add(struct mega_text *t, const char *format, ...) MEGA_PRINTF(2, 3);
void mega_text_add_bytes(struct mega_text *t, const void *bytes, size_t n);
void mega_text_clear(struct mega_text *t); /* empties, keeps the room */
void mega_text_done(struct mega_text *t);

/* Edit distance of two words, for "did you mean"; cut at 64 letters. */
int mega_text_distance(const char *a, const char *b);

/* *best (NULL: none yet) becomes `other` if that is nearer to `word`, and near enough to have
 * been meant. */
void mega_text_nearer(const char **best, const char *other, const char *word);

#endif
