#include "text/trie.h"

#include <stdlib.h>

static struct mega_trie_slot *place_of(const struct mega_trie *t, uint64_t key)
{
    uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & t->mask;
    while (t->slot[i].node && t->slot[i].key != key) i = (i + 1) & t->mask;
    return &t->slot[i];
}

static uint64_t key_of(int32_t node, unsigned char byte)
{
    return (uint64_t)(uint32_t)node << 8 | byte;
}

static bool grow(struct mega_trie *t)
{
    uint32_t slots = t->slot ? t->mask + 1 : 0;
    if (2 * ((uint32_t)t->n + 1) > slots) {
        struct mega_trie larger = { .mask = slots ? 2 * slots - 1 : 63 };
        larger.slot = calloc((size_t)larger.mask + 1, sizeof *larger.slot);
        if (!larger.slot) return false;
        for (uint32_t i = 0; i < slots; i++)
            if (t->slot[i].node) *place_of(&larger, t->slot[i].key) = t->slot[i];
        free(t->slot);
        t->slot = larger.slot;
        t->mask = larger.mask;
    }
    if (t->n == t->room) {
        int32_t room = t->room ? 2 * t->room : 64;
        int32_t *value = realloc(t->value, (size_t)room * sizeof *value);
        if (!value) return false;
        t->value = value;
        t->room = room;
    }
    return true;
}

bool mega_trie_add(struct mega_trie *t, const char *text, size_t size, int32_t value)
{
    if (!grow(t)) return false;
    if (!t->n) t->value[t->n++] = -1;
    int32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        if (!grow(t)) return false;
        uint64_t key = key_of(node, (unsigned char)text[i]);
        struct mega_trie_slot *place = place_of(t, key);
        if (!place->node) {
            *place = (struct mega_trie_slot){ key, t->n };
            t->value[t->n++] = -1;
        }
        node = place->node;
    }
    if (t->value[node] < 0) t->value[node] = value;
    t->first[(unsigned char)text[0]] = true;
    return true;
}

int32_t mega_trie_step(const struct mega_trie *t, int32_t node, unsigned char byte)
{
    if (!t->slot || (!node && !t->first[byte])) return -1;
    const struct mega_trie_slot *place = place_of(t, key_of(node, byte));
    return place->node ? place->node : -1;
}

int32_t mega_trie_longest(
    const struct mega_trie *t, const char *p, const char *end, size_t *size)
{
    int32_t found = -1;
    const char *from = p;
    for (int32_t node = 0; p < end;) {
        node = mega_trie_step(t, node, (unsigned char)*p++);
        if (node < 0) break;
        if (t->value[node] < 0) continue;
        found = t->value[node];
        *size = (size_t)(p - from);
    }
    return found;
}

void mega_trie_done(struct mega_trie *t)
{
    free(t->slot);
    free(t->value);
    *t = (struct mega_trie){ 0 };
}
