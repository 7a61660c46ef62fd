/* The inside of mega_text_batches: rows, their order, steps of streams. */
#ifndef MEGA_DATA_TEXT_PLAN_H
#define MEGA_DATA_TEXT_PLAN_H

#include "data/text_rows.h"

struct mega_text_batches {
    struct mega_text_batching b;
    struct mega_text_rows rows;
    struct mega_examples lengths; /* start[]: the plan's view of rows */
    struct mega_plan plan;
    int64_t *step; /* [batches of the plan + 1] steps before; NULL: a batch is one step */
    int64_t align;
};

/* where a batch lies in the plan */
struct mega_text_where {
    int64_t group, step;   /* batch of the plan; step within it */
    int64_t from, to;      /* places in order[] */
    int64_t begin, places; /* of each row: the first that this step holds; how many at most */
};

struct mega_text_where mega_text_where_of(const struct mega_text_batches *t, int64_t batch);

/* Places of the batch's rows, padding included. */
int64_t mega_text_where_places(
    const struct mega_text_batches *t, const struct mega_text_where *w);

/* The part of a span that a step holds: `at` places of the row came before the span. */
struct mega_stretch mega_text_where_part(
    const struct mega_text_where *w, const struct mega_stretch *s, int64_t at);

/* Adds what the batch holds. */
void mega_text_where_units(const struct mega_text_batches *t, const struct mega_text_where *w,
    struct mega_text_units *u);

#endif
