/* The formulas of the schedules, one function each: the rate after n completed updates. The
 * struct has been resolved. */
#ifndef MEGA_OPTIM_RATES_H
#define MEGA_OPTIM_RATES_H

#include "optim/schedule.h"

double mega_rate_linear_decay(const struct mega_schedule *s, int64_t n);
double mega_rate_inverse_sqrt(const struct mega_schedule *s, int64_t n);
double mega_rate_cosine(const struct mega_schedule *s, int64_t n);
double mega_rate_polynomial_decay(const struct mega_schedule *s, int64_t n);
double mega_rate_fixed(const struct mega_schedule *s, int64_t n);
double mega_rate_step(const struct mega_schedule *s, int64_t n);
double mega_rate_milestone(const struct mega_schedule *s, int64_t n);
double mega_rate_tri_stage(const struct mega_schedule *s, int64_t n);
double mega_rate_triangular(const struct mega_schedule *s, int64_t n);
double mega_rate_plateau(const struct mega_schedule *s, int64_t n);

#endif
