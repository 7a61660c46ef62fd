/* Masked tokens (BERT: Devlin et al., 2018): of a row's tokens a share is to be found; most of
 * them are hidden behind a mask, some become another token, some stay as they are.
 *
 * Which ones is a function of a key and the row's number alone, of packed documents of the
 * number that each would have as a row of its own: training draws anew in each epoch,
 * evaluation always the same. Every row, or document, has the same share, rounded, and at least
 * one. */
#ifndef MEGA_DATA_MASKING_H
#define MEGA_DATA_MASKING_H

#include "base/option.h"
#include "data/text_batches.h"

/* The part of the recipe's section `task` that is about masks. */
struct mega_masking_options {
    double share, random, keep;
};
extern const struct mega_option mega_masking_options[];

mega_status mega_masking_check(const struct mega_masking_options *o);

struct mega_masking {
    struct mega_masking_options options;
    int32_t mask;       /* the id that hides */
    int32_t vocabulary; /* random ids lie below it */
    int32_t pad;
    const int32_t *before, *after; /* what frames a row, never hidden; borrowed */
    int64_t n_before, n_after;
    uint64_t key;
};

/* Tokens to be found in a row of n. */
int64_t mega_masking_count(const struct mega_masking_options *o, int64_t n);

/* The tokens of a row become ids and targets (-1: not to be found), both [n]. */
void mega_masking_draw(const struct mega_masking *m, int64_t row, const int32_t *token,
    int64_t n, int32_t *id, int32_t *target);

/* A batch as it was filled, with free places around each row or packed document: its targets
 * are the tokens. It becomes frames, masked ids, hidden tokens. */
void mega_masking_apply(
    const struct mega_masking *m, const struct mega_text_batches *t, struct mega_text_batch *h);

/* Rows and tokens to be found of a batch, added, without reading any token. */
void mega_masking_units(const struct mega_masking *m, const struct mega_text_batches *t,
    int64_t batch, int64_t *rows, int64_t *targets);

#endif
