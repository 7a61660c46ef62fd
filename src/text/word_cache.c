#include "text/word_cache.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_LEAST = 1 << 10, SLOTS_MOST = 1 << 19, STORE_MOST = 1 << 26 };

struct record {
    uint16_t size, n;
    char word[];
};

/* ids follow the word at the next multiple of four */
static size_t ids_at(size_t size)
{
    return (sizeof(struct record) + size + 3) & ~(size_t)3;
}

const int32_t *mega_word_cache_find(
    const struct mega_word_cache *c, const char *word, size_t size, uint64_t hash, int32_t *n)
{
    if (!c->slot) return NULL;
    for (uint32_t i = (uint32_t)hash & c->mask; c->slot[i].at; i = (i + 1) & c->mask) {
        if (c->slot[i].hash != (uint32_t)(hash >> 32)) continue;
        const char *at = c->store + (c->slot[i].at - 1);
        const struct record *r = (const void *)at;
        if (r->size != size || memcmp(r->word, word, size) != 0) continue;
        *n = r->n;
        return (const void *)(at + ids_at(size));
    }
    return NULL;
}

static void place(struct mega_word_cache *c, uint64_t hash, uint32_t at)
{
    uint32_t i = (uint32_t)hash & c->mask;
    while (c->slot[i].at) i = (i + 1) & c->mask;
    c->slot[i] = (struct mega_word_slot){ (uint32_t)(hash >> 32), at };
}

static void forget(struct mega_word_cache *c)
{
    if (c->slot) memset(c->slot, 0, ((size_t)c->mask + 1) * sizeof *c->slot);
    c->n = 0;
    c->used = 0;
}

/* a table at most half full; its slots do not hold the low half of a hash, so that a larger one
 * starts empty */
static bool make_slots(struct mega_word_cache *c)
{
    uint32_t slots = c->slot ? c->mask + 1 : 0;
    if (2 * (c->n + 1) <= slots) return true;
    slots = !slots ? SLOTS_LEAST : slots < SLOTS_MOST ? 16 * slots : slots;
    if (slots > SLOTS_MOST) slots = SLOTS_MOST;
    forget(c);
    if (c->slot && slots == c->mask + 1) return true;
    struct mega_word_slot *slot = calloc(slots, sizeof *slot);
    if (!slot) return false;
    free(c->slot);
    c->slot = slot;
    c->mask = slots - 1;
    return true;
}

static bool make_store(struct mega_word_cache *c, size_t more)
{
    if (c->used + more > STORE_MOST) forget(c);
    if (c->used + more <= c->room) return true;
    size_t room = c->room ? 2 * c->room : 1 << 14;
    while (room < c->used + more) room *= 2;
    char *store = realloc(c->store, room);
    if (!store) return false;
    c->store = store;
    c->room = room;
    return true;
}

void mega_word_cache_add(struct mega_word_cache *c, const char *word, size_t size,
    uint64_t hash, const int32_t *id, int32_t n)
{
    if (size > MEGA_WORD_CACHED || n > UINT16_MAX) return;
    size_t from = ids_at(size), bytes = from + (size_t)n * sizeof *id;
    if (!make_slots(c) || !make_store(c, bytes)) return;
    struct record *r = (void *)(c->store + c->used);
    r->size = (uint16_t)size;
    r->n = (uint16_t)n;
    memcpy(r->word, word, size);
    if (n) memcpy((char *)r + from, id, (size_t)n * sizeof *id);
    place(c, hash, (uint32_t)c->used + 1);
    c->used += bytes;
    c->n++;
}

void mega_word_cache_done(struct mega_word_cache *c)
{
    free(c->slot);
    free(c->store);
    *c = (struct mega_word_cache){ 0 };
}
