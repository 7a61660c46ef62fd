/* A shelf: what all lanes of a parallel region read, made by whoever needs it first.
 *
 * Reading takes no lock; making does, so that nothing is made twice. What stands on a shelf
 * stays until its room is given back. */
#ifndef MEGA_BASE_SHELF_H
#define MEGA_BASE_SHELF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum { MEGA_SHELF_ITEMS = 64 };

/* What an item was made from: equal keys mean equal items. */
struct mega_shelf_key {
    const void *from;
    int64_t stride, rows, columns;
    int kind;
};

struct mega_shelf {
    struct mega_arena *room; /* no one else takes from it meanwhile */
    atomic_int n;
    struct mega_shelf_item {
        struct mega_shelf_key key;
        void *at;
    } item[MEGA_SHELF_ITEMS];
};

/* The item of this key, `bytes` large, which make(arg, room) fills if it is not there yet; NULL
 * if the shelf is full. */
void *mega_shelf_get(struct mega_shelf *s, const struct mega_shelf_key *key, size_t bytes,
    void (*make)(void *arg, void *room), void *arg);

#endif
