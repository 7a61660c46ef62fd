/* Making the ListOps data set by the rules of Long Range Arena, and checking files of it. */
#ifndef MEGA_DATA_LISTOPS_MAKE_H
#define MEGA_DATA_LISTOPS_MAKE_H

#include "base/work.h"
#include "data/listops.h"

struct mega_listops_set {
    int64_t train, valid, test; /* distinct trees, 96,000 / 2,000 / 2,000 in LRA */
    int64_t seed;
    int64_t depth, args;            /* max_depth and max_args, 10 and 10 */
    int64_t min_length, max_length; /* open bounds on the tokens, 500 and 2,000 */
};

/* Writes basic_train.tsv, basic_val.tsv and basic_test.tsv into a folder, each whole or not at
 * all; the same seed gives the same bytes on any number of threads. What can never be met is
 * refused. `progress` (may be NULL) hears of the trees found so far. */
mega_status mega_listops_make(struct mega_work *work, const struct mega_listops_set *set,
    const char *folder, void (*progress)(void *arg, int64_t found, int64_t wanted), void *arg);

/* A row whose label is not the value of its tree. */
typedef void mega_listops_wrong_fn(void *arg, int64_t line, int label, int value);

struct mega_listops_report {
    int64_t rows, wrong, tokens, longest, label[10];
};

/* Recomputes every label of a file (LRA's, with header, or the original short form
 * `label<TAB>source`); malformed rows are refused with their line. */
mega_status mega_listops_check(
    const char *path, mega_listops_wrong_fn *wrong, void *arg, struct mega_listops_report *out);

#endif
