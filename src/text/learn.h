/* Learning merges: the pair of neighbours that is most frequent in the words becomes a symbol,
 * again and again. */
#ifndef MEGA_TEXT_LEARN_H
#define MEGA_TEXT_LEARN_H

#include "text/counts.h"

struct mega_learnt_pair {
    int32_t left, right;
    int64_t count;
    int32_t *word; /* where it may stand */
    int32_t n, room;
    int32_t grown; /* the merge that made it more frequent, from 1 */
};

struct mega_learner {
    struct mega_arena arena;
    struct mega_vocab
        symbols;     /* texts of symbols; callers put those of single characters first */
    int32_t *symbol; /* of all words, in a row */
    size_t used, room;
    struct mega_learnt_word {
        size_t start;
        int32_t size;
        int64_t count;
    } * word;
    int32_t words, words_room;

    struct mega_learnt_pair *pair;
    int32_t pairs, pairs_room;
    int32_t *slot; /* pairs by hash; -1: free */
    uint32_t mask;
    struct mega_learnt_candidate {
        int64_t count;
        int32_t pair;
    } * heap;
    size_t waiting, heap_room;
    int32_t *grown; /* pairs that the present merge made more frequent */
    int32_t n_grown, grown_room;
    bool larger_first; /* of equal counts the pair of larger texts, else of smaller symbols */
};

mega_status mega_learner_init(struct mega_learner *l);
void mega_learner_done(struct mega_learner *l);

/* Adds a word of n symbols that came `count` times. */
mega_status mega_learner_add(
    struct mega_learner *l, const int32_t *symbol, size_t n, int64_t count);

/* Makes one merge after the other and tells of each; ends when `most` symbols are there, when
 * merge() has been called `merges` times, or when no pair came `least` times. */
mega_status mega_learner_run(struct mega_learner *l, int32_t most, int32_t merges,
    int64_t least, mega_status (*merge)(void *arg, int32_t left, int32_t right, int32_t joined),
    void *arg);

#endif
