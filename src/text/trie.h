/* A trie over bytes: texts with a number each, walked a byte at a time. */
#ifndef MEGA_TEXT_TRIE_H
#define MEGA_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mega_trie {
    struct mega_trie_slot {
        uint64_t key; /* parent and byte */
        int32_t node; /* 0: free; nothing leads to the root */
    } * slot;
    uint32_t mask;
    int32_t *value; /* [n] by node; -1: no text ends there */
    int32_t n, room;
    bool first[256]; /* bytes that begin a text */
};

/* Adds a text that is not empty; one that is there keeps its number. False: no memory. */
bool mega_trie_add(struct mega_trie *t, const char *text, size_t size, int32_t value);

/* The node after a byte (the root is 0), or -1. */
int32_t mega_trie_step(const struct mega_trie *t, int32_t node, unsigned char byte);

/* The number of the longest text that stands at p, or -1; *size: its length. */
int32_t mega_trie_longest(
    const struct mega_trie *t, const char *p, const char *end, size_t *size);
void mega_trie_done(struct mega_trie *t);

#endif
