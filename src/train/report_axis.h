/* An axis of a chart: from a range of data to places, ticks and their words. */
#ifndef MEGA_TRAIN_REPORT_AXIS_H
#define MEGA_TRAIN_REPORT_AXIS_H

#include <stdbool.h>

/* What the data span; start with MEGA_RANGE_EMPTY and widen. */
struct mega_range {
    double low, high;
};
#define MEGA_RANGE_EMPTY ((struct mega_range){ HUGE_VAL, -HUGE_VAL })
void mega_range_widen(struct mega_range *r, double value); /* values not finite: ignored */

enum { MEGA_TICKS = 24 };

struct mega_axis {
    double begin, end; /* drawing */
    double from, to;   /* data; their logarithms to base 10 if log */
    bool log;
    double tick[MEGA_TICKS], spacing;
    int n_ticks;
};

/* An axis drawn from `begin` to `end` with some `ticks` ticks. `air` is the share of the range
 * that stays free at both ends; an axis of values that are not negative does not go below 0. */
struct mega_axis mega_axis_make(
    struct mega_range r, bool log, double air, int ticks, double begin, double end);

double mega_axis_place(const struct mega_axis *a, double value);
void mega_axis_word(const struct mega_axis *a, double value, char out[32]); /* of a tick */

#endif
