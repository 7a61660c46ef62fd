/* An arena: memory handed out in order and taken back in order.
 *
 * It reserves address space once and commits pages as it grows, so addresses never move and a
 * warm arena asks the system for nothing. Not thread-safe. */
#ifndef MEGA_BASE_ARENA_H
#define MEGA_BASE_ARENA_H

#include <stddef.h>

#include "megac/status.h"

struct mega_arena {
    char *base;
    size_t reserved, committed, used, peak; /* bytes */
};

enum { MEGA_ALIGN = 64 }; /* every allocation starts on a cache line */

mega_status mega_arena_init(struct mega_arena *a, size_t reserve);
void mega_arena_done(struct mega_arena *a);

/* `bytes` bytes, not zeroed; NULL when the address space or the machine's memory is used up (no
 * message is set). */
void *mega_arena_get(struct mega_arena *a, size_t bytes);
void *mega_arena_zeroed(struct mega_arena *a, size_t bytes);
char *mega_arena_text(struct mega_arena *a, const char *text);

/* A mark remembers how much is used; release gives back all that came after it. */
size_t mega_arena_mark(const struct mega_arena *a);
void mega_arena_release(struct mega_arena *a, size_t mark);

#endif
