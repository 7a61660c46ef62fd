/* ListOps: nested lists of MIN, MAX, MED (median) and SM (sum modulo 10) over digits (Nangia &
 * Bowman 2018; Long Range Arena).
 *
 * A tree is a row of ids in written order, brackets ( ) left out: 1..10 digits 0..9, 11 MIN, 12
 * MAX, 13 MED, 14 SM, 15 the closing ], 16 anything else that LRA's evaluator knows ([FIRST,
 * [LAST), 0 padding. */
#ifndef MEGA_DATA_LISTOPS_H
#define MEGA_DATA_LISTOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

enum {
    MEGA_LISTOPS_DIGIT = 1,
    MEGA_LISTOPS_MIN = 11,
    MEGA_LISTOPS_MAX,
    MEGA_LISTOPS_MED,
    MEGA_LISTOPS_SM,
    MEGA_LISTOPS_CLOSE,
    MEGA_LISTOPS_UNKNOWN,
    MEGA_LISTOPS_VOCABULARY
};

struct mega_listops {
    int32_t *id; /* [n] */
    int64_t n, room;
    int value; /* 0 ... 9 */
};
void mega_listops_done(struct mega_listops *t);

/* Reads a printed tree, LRA's binary brackets or none, and computes its value. Strict: brackets
 * must pair, every operator needs an argument, one tree a text. Messages begin with `where`
 * ("file:3: "). The tree's memory is reused. */
mega_status mega_listops_parse(
    struct mega_listops *t, const char *where, const char *text, size_t n);

/* The value of ids as the generator makes them. */
int mega_listops_value(const int32_t *id, int64_t n);

/* Appends the tree in LRA's printed form: ( ( ( [MAX 1 ) 2 ) ] ). */
void mega_listops_print(const int32_t *id, int64_t n, struct mega_text *to);

#endif
