/* Pieces and their ids. */
#ifndef MEGA_TEXT_VOCAB_H
#define MEGA_TEXT_VOCAB_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/fail.h"
#include "format/node.h"

enum mega_piece_flags {
    MEGA_PIECE_USED = 1,
    MEGA_PIECE_SPECIAL = 2, /* hidden when decoding, unless asked for */
    MEGA_PIECE_OPEN = 4,    /* where words are joined by blanks: none follows this one */
    MEGA_PIECE_ADDED = 8,   /* found in the text as it is spelt, not made by the model */
    MEGA_PIECE_WHOLE = 16,  /* begins a text with the blanks that it has */
    MEGA_PIECE_JOINS = 32   /* where words are joined by blanks: none comes before this one; as
                               the first of a text it is written as the file has it */
};

/* A span of bytes that someone else holds. */
struct mega_span {
    const char *data;
    size_t size;
};

struct mega_piece {
    struct mega_span text;    /* as the tokenizer's file writes it */
    struct mega_span surface; /* what decoding writes */
    int flags;
};

struct mega_vocab {
    struct mega_arena *arena; /* of the tokenizer: texts live there */
    struct mega_piece *piece; /* [n] */
    int32_t n, room;
    int32_t *slot; /* index by hash of the text; -1: free */
    uint32_t mask;
    int32_t used;
};

enum { MEGA_VOCAB_MOST = 1 << 24 }; /* ids beyond it are taken for damage */

/* Gives `id` a piece, whose surface is its text for now; bytes are copied. A piece that has an
 * id already is found by its first id. */
mega_status mega_vocab_set(
    struct mega_vocab *v, int32_t id, const char *text, size_t size, int flags);
mega_status mega_vocab_surface(struct mega_vocab *v, int32_t id, const char *text, size_t size);
void mega_vocab_prefer(struct mega_vocab *v, int32_t id); /* of several: find this one */
int32_t mega_vocab_find(const struct mega_vocab *v, const char *text, size_t size); /* or -1 */

/* Reads an object of pieces and their ids; an id given twice is refused, and one that is far
 * beyond the number of pieces. */
mega_status mega_vocab_read(
    struct mega_vocab *v, const struct mega_document *d, const struct mega_node *map);
void mega_vocab_done(struct mega_vocab *v);

static inline bool mega_vocab_has(const struct mega_vocab *v, int32_t id)
{
    return id >= 0 && id < v->n && v->piece[id].flags & MEGA_PIECE_USED;
}

static inline uint64_t mega_hash_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9FB21C651E98DF25u;
    return h ^ h >> 32;
}

static inline uint64_t mega_hash_bytes(const char *p, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15u, word;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = mega_hash_mix(h, word);
    }
    word = 0;
    if (n) memcpy(&word, p, n);
    return mega_hash_mix(h, word);
}

#endif
