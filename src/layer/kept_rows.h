/* Of what belongs to heads, the part of some of them, where a call is for these alone: rows of
 * tables that layers share, by the heads' original numbers, and heads that stand together. */
#ifndef MEGA_LAYER_KEPT_ROWS_H
#define MEGA_LAYER_KEPT_ROWS_H

#include "graph/run.h"

/* [n, W] of a table [all, W]: its rows number[0] ... number[n-1]; the table itself where n is
 * all of them or the table is NULL. */
mega_tensor *mega_kept_rows(mega_run *r, mega_tensor *table, const int32_t *number, int64_t n);

/* x [units K, ...] -> [n K, ...]: what units from ... from+n-1 of `units` have of the first
 * dimension, a view, also of its gradient: for an op that reads its rows together. NULL where x
 * is. */
mega_tensor *mega_rows_of_units(
    mega_run *r, mega_tensor *x, int64_t from, int64_t n, int64_t units);

#endif
