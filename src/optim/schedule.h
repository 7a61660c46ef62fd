/* Learning-rate schedules: the rate as a pure function of the number of completed updates.
 *
 * The schedules and their corners are those of fairseq, on which the official Mega code was
 * built; where fairseq keeps a running value, rates.c has its closed form. Megalodon's three
 * schedules are `linear_decay`, `cosine` and `fixed` with a given start of the warm-up. */
#ifndef MEGA_OPTIM_SCHEDULE_H
#define MEGA_OPTIM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/option.h"

struct mega_schedule {
    int kind; /* its place in schedules.def */
    double lr;
    int64_t warmup; /* updates */
    double warmup_init_lr;
    int64_t warmup_power;
    int64_t steps; /* updates until the schedule has run its course */
    double end_lr;
    double power;
    int64_t period; /* updates */
    double t_mult, cycles, lr_shrink;
    struct mega_texts milestones; /* update numbers */
    int64_t hold_steps, decay_steps;
    double max_lr;
    bool shrink_min;
    int64_t lr_patience; /* validations */
    double lr_threshold;
};

/* The recipe's keys. */
extern const struct mega_option mega_schedule_options[];

/* Puts the schedule's own values where the recipe gave none (negative warm-up, start and end;
 * period and steps of 0) and refuses what cannot be. `updates` is the number that the whole run
 * makes, or 0 where nothing limits it. Must be called before mega_schedule_rate; a second call
 * changes nothing. */
mega_status mega_schedule_resolve(struct mega_schedule *s, int64_t updates);

/* The rate of the next update when `done` updates have been made: the first update of a run
 * uses the rate at 0. */
double mega_schedule_rate(const struct mega_schedule *s, int64_t done);

/* reduce_lr_on_plateau: what it has seen. All zero at the start of a run; part of the run's
 * state. Other schedules leave it alone, so a trainer need not ask which one it has. */
struct mega_plateau {
    bool begun;
    double best;
    int64_t waited; /* validations since the best one or the last reduction */
    int64_t reductions;
};

/* Takes the value of a validation after `done` updates; `higher` if higher is better. */
void mega_plateau_see(struct mega_plateau *p, const struct mega_schedule *s, int64_t done,
    double value, bool higher);

/* What the rate is to be multiplied with. */
double mega_plateau_factor(const struct mega_plateau *p, const struct mega_schedule *s);

#endif
