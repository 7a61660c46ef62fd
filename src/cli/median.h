/* The middle of some measurements. */
#ifndef MEGA_CLI_MEDIAN_H
#define MEGA_CLI_MEDIAN_H

/* The median of n values, which are sorted on the way; NaN if there are none. */
double mega_median(double *value, int n);

#endif
