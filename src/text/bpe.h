/* Byte-pair encoding: two symbols side by side become one, the pair of best rank first, the
 * leftmost of equals (Sennrich et al. 2016; with scores for ranks, SentencePiece's kind).
 *
 * Symbols are numbers; who owns the merges says which numbers a word starts from and what they
 * mean. */
#ifndef MEGA_TEXT_BPE_H
#define MEGA_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

struct mega_merge {
    int32_t left, right; /* left -1: a free slot */
    int32_t rank, joined;
};

struct mega_merges {
    struct mega_merge *slot; /* hashed by the pair */
    uint32_t mask;
    int32_t n;
};

/* Adds a rule. A pair that has one: the first stays, or the new one if `replace`. */
mega_status mega_merges_add(struct mega_merges *m, struct mega_merge merge, bool replace);
const struct mega_merge *mega_merges_find(
    const struct mega_merges *m, int32_t left, int32_t right);
void mega_merges_done(struct mega_merges *m);

/* One thread's memory for merging. */
struct mega_merging {
    int32_t *symbol; /* [room]: callers put a word's symbols here */
    size_t room;
    int32_t *next, *before; /* long words: their neighbours */
    int32_t *place;         /* mega_merges_apply_places: which symbols remain */
    uint32_t *offset;       /* for callers, as symbol */
    size_t offsets;
    size_t links;
    struct mega_candidate *heap;
    size_t waiting, heap_room;
};

/* Room for n symbols; NULL: no memory. */
int32_t *mega_merging_room(struct mega_merging *w, size_t n);
uint32_t *mega_merging_offsets(struct mega_merging *w, size_t n);
void mega_merging_done(struct mega_merging *w);

/* Merges symbol[0 ... n) in place; *left: how many remain. */
mega_status mega_merges_apply(
    const struct mega_merges *m, struct mega_merging *w, size_t n, size_t *left);

/* The same; symbol[i] is then what begins with the symbol that stood at w->place[i]. */
mega_status mega_merges_apply_places(
    const struct mega_merges *m, struct mega_merging *w, size_t n, size_t *left);

#endif
