/* Prefetch: things made ahead, in order, by a thread of their own. */
#ifndef MEGA_DATA_PREFETCH_H
#define MEGA_DATA_PREFETCH_H

#include <stdint.h>

#include "base/fail.h"

struct mega_prefetch;

enum { MEGA_PREFETCH_SLOTS = 3 };

/* Makes item number `position` into `slot` (one of MEGA_PREFETCH_SLOTS). Runs on the prefetch's
 * thread alone. */
typedef mega_status mega_prefetch_fn(void *arg, int64_t position, int slot);

/* Starts making items first, first + 1, ... up to (not including) `end`; -1: for ever. */
mega_status mega_prefetch_start(
    struct mega_prefetch **out, mega_prefetch_fn *make, void *arg, int64_t first, int64_t end);

/* The slot of the next item, which stays untouched until the next call; -1 at the end. A
 * failure of make arrives here, with its message, in its turn. */
mega_status mega_prefetch_next(struct mega_prefetch *p, int *slot);

/* Stops at any moment: waits for the item in the making. NULL is fine. */
void mega_prefetch_stop(struct mega_prefetch *p);

#endif
