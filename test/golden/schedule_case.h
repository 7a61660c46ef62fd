/* A learning-rate schedule from a case's flags. */
#ifndef MEGA_TEST_SCHEDULE_CASE_H
#define MEGA_TEST_SCHEDULE_CASE_H

#include "golden/case.h"
#include "optim/schedule.h"

struct golden_rates {
    struct mega_schedule schedule;
    char milestones[512]; /* what schedule.milestones points to */
    const char *milestone[64];
};

/* Reads cfg.<kind_key> and every flag of a schedule that the case has; `updates`: how many the
 * run makes, where a flag depends on it. False: the case is over. */
bool golden_rates_read(
    struct golden_case *c, struct golden_rates *to, const char *kind_key, int64_t updates);

#endif
