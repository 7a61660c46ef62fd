/* Stop strings: bytes at whose appearance a text ends.
 *
 * They are looked for in the bytes as they arrive, whatever the tokens. The text ends at the
 * byte that completes one (of several that it completes, the longest); what came before that
 * string is text, the string itself and what follows is not. Bytes that may yet turn out to
 * begin one are held back until that is known. */
#ifndef MEGA_INFER_STOPS_H
#define MEGA_INFER_STOPS_H

#include "base/text.h"

struct mega_stops {
    const char *const *item; /* [n], borrowed */
    const size_t *size;      /* [n]; NULL: the items end with a NUL */
    int n;
    struct mega_text held;
    size_t out; /* bytes of `held` that have gone out */
};

/* Refuses an empty string. */
mega_status mega_stops_init(
    struct mega_stops *s, const char *const *item, const size_t *size, int n);
void mega_stops_done(struct mega_stops *s);

/* Takes bytes; *stopped tells that one is complete: then, and after mega_stops_end, nothing is
 * held back. */
mega_status mega_stops_add(struct mega_stops *s, const char *bytes, size_t n, bool *stopped);

/* What can go out now and has not yet; `end`: no more bytes follow. Borrowed until the next
 * call. */
const char *mega_stops_take(struct mega_stops *s, bool end, size_t *n);

#endif
