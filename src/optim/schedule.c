#include "optim/schedule.h"

#include <math.h>
#include <string.h>

#include "optim/rates.h"

struct schedule {
    const char *name;
    double (*rate)(const struct mega_schedule *s, int64_t n);
    int64_t warmup, period;
};

static const struct schedule schedules[] = {
#define X(name, function, warmup, period) { #name, mega_rate_##function, warmup, period },
#include "optim/schedules.def"
#undef X
};

static const char names[] =
#define X(name, function, warmup, period) "|" #name
#include "optim/schedules.def"
#undef X
    ;

#define AT(member) MEGA_FIELD(struct mega_schedule, member)

const struct mega_option mega_schedule_options[] = {
    { "lr", MEGA_OPTION_REAL, AT(lr), NULL, 0, 1e6, NULL, "RATE",
        "the learning rate after the warm-up (--lr)", 0 },
    { "schedule", MEGA_OPTION_CHOICE, AT(kind), "linear_decay", 0, 0, names + 1, "NAME",
        "how the rate moves from update to update (--lr-scheduler)", 0 },
    { "warmup", MEGA_OPTION_INT, AT(warmup), "-1", -1, 1e15, NULL, "N",
        "updates on the way up; -1: the schedule's own, 1000 for step and milestone, 4000 for "
        "inverse_sqrt and tri_stage, else 0 (--warmup-updates, --warmup-steps)",
        0 },
    { "warmup_init_lr", MEGA_OPTION_REAL, AT(warmup_init_lr), "-1", -1, 1e6, NULL, "RATE",
        "where the warm-up starts; -1: the schedule's own, end_lr for cosine, lr/warmup for "
        "fixed, lr/100 for tri_stage, else 0 (--warmup-init-lr)",
        0 },
    { "warmup_power", MEGA_OPTION_INT, AT(warmup_power), "1", 1, 100, NULL, "N",
        "1: a straight way up, 2: a parabola (--warmup-power)", 0 },
    { "steps", MEGA_OPTION_INT, AT(steps), "0", 0, 1e15, NULL, "N",
        "linear_decay, polynomial_decay, cosine without period: the update at which the rate "
        "has come to end_lr; 0: the run's last (--total-num-update)",
        0 },
    { "end_lr", MEGA_OPTION_REAL, AT(end_lr), "-1", -1, 1e6, NULL, "RATE",
        "the rate at the end or, for cosine, at the foot of the first period; -1: lr/100 for "
        "tri_stage, else 0 (--end-learning-rate, --min-lr)",
        0 },
    { "power", MEGA_OPTION_REAL, AT(power), "1", 1e-3, 1e3, NULL, "X",
        "polynomial_decay: the exponent of the way down (--power)", 0 },
    { "period", MEGA_OPTION_INT, AT(period), "0", 0, 1e15, NULL, "N",
        "updates between restarts of cosine (0: none), tops of triangular (0: 5000), drops of "
        "step (0: 10000) (--lr-period-updates, --lr-decay-steps)",
        0 },
    { "t_mult", MEGA_OPTION_REAL, AT(t_mult), "1", 1, 1e6, NULL, "X",
        "cosine: how much longer each period is than the one before (--t-mult)", 0 },
    { "cycles", MEGA_OPTION_REAL, AT(cycles), "1", 0, 1e6, NULL, "X",
        "cosine without period: half waves until the end (Megalodon's cycles)", 0 },
    { "lr_shrink", MEGA_OPTION_REAL, AT(lr_shrink), "0.1", 0, 1e3, NULL, "X",
        "factor on the rate at each restart, drop, milestone or plateau (--lr-shrink, "
        "--lr-decay-rate)",
        0 },
    { "milestones", MEGA_OPTION_TEXTS, AT(milestones), "", 0, 0, NULL, "N,N,...",
        "milestone: the updates at which the rate drops (--milestones)", 0 },
    { "hold_steps", MEGA_OPTION_INT, AT(hold_steps), "20000", 0, 1e15, NULL, "N",
        "tri_stage: updates at the full rate (--hold-steps)", 0 },
    { "decay_steps", MEGA_OPTION_INT, AT(decay_steps), "60000", 1, 1e15, NULL, "N",
        "tri_stage: updates on the way down (--decay-steps)", 0 },
    { "max_lr", MEGA_OPTION_REAL, AT(max_lr), "0", 0, 1e6, NULL, "RATE",
        "triangular: the first top; lr is the foot (--max-lr)", 0 },
    { "shrink_min", MEGA_OPTION_BOOL, AT(shrink_min), "false", 0, 0, NULL, NULL,
        "triangular: the feet shrink too (--shrink-min)", 0 },
    { "lr_patience", MEGA_OPTION_INT, AT(lr_patience), "0", 0, 1e9, NULL, "N",
        "reduce_lr_on_plateau: validations without progress that are borne (--lr-patience)",
        0 },
    { "lr_threshold", MEGA_OPTION_REAL, AT(lr_threshold), "1e-4", 0, 1, NULL, "X",
        "reduce_lr_on_plateau: relative gain that counts as progress (--lr-threshold)", 0 },
    { 0 }
};

static bool is(const struct mega_schedule *s, const char *name)
{
    return !strcmp(schedules[s->kind].name, name);
}

static bool ends_at_steps(const struct mega_schedule *s)
{
    return is(s, "linear_decay") || is(s, "polynomial_decay") ||
           (is(s, "cosine") && s->period == 0);
}

static void fill(struct mega_schedule *s, int64_t updates)
{
    const struct schedule *own = &schedules[s->kind];
    if (s->warmup < 0) s->warmup = own->warmup;
    if (s->period == 0) s->period = own->period;
    if (s->steps == 0 && ends_at_steps(s)) s->steps = updates;
    if (s->end_lr < 0) s->end_lr = is(s, "tri_stage") ? s->lr / 100 : 0;
    if (s->warmup_init_lr < 0 && s->warmup > 0 && own->rate != mega_rate_fixed)
        s->warmup_init_lr = is(s, "cosine") ? s->end_lr : is(s, "tri_stage") ? s->lr / 100 : 0;
}

static mega_status check_warmup(const struct mega_schedule *s)
{
    const char *name = schedules[s->kind].name;
    if (s->warmup == 0 && s->warmup_init_lr >= 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.warmup_init_lr: %g is where a warm-up starts, but optim.warmup is 0: give a "
            "number of updates there or leave out warmup_init_lr",
            s->warmup_init_lr);
    if (s->warmup > 0 && s->warmup_init_lr > s->lr)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.warmup_init_lr: the warm-up goes up, but it would start at %g and end at "
            "optim.lr, %g",
            s->warmup_init_lr, s->lr);
    if (is(s, "inverse_sqrt") && s->warmup == 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "optim.warmup: inverse_sqrt needs a warm-up, its "
                                            "rate is lr * sqrt(warmup / n): give "
                                            "a number of updates above 0");
    if (is(s, "triangular") && s->warmup > 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.warmup: %s has no warm-up, it starts at its foot: leave out the %lld", name,
            (long long)s->warmup);
    return MEGA_OK;
}

static mega_status check_milestones(const struct mega_texts *list)
{
    if (list->n == 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "optim.milestones: the schedule milestone needs "
                                            "the updates at which the rate drops, "
                                            "found none");
    for (int i = 0; i < list->n; i++) {
        const char *text = list->item[i];
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 18 || text[digits])
            return mega_fail(MEGA_BAD_ARGUMENT,
                "optim.milestones: entry %d is \"%s\": expected the number of an update", i + 1,
                text);
    }
    return MEGA_OK;
}

mega_status mega_schedule_resolve(struct mega_schedule *s, int64_t updates)
{
    fill(s, updates);
    MEGA_TRY(check_warmup(s));
    if (ends_at_steps(s) && s->steps == 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.steps: %s comes to its end at a certain update, but neither optim.steps nor "
            "the length of the run is given",
            schedules[s->kind].name);
    if (is(s, "milestone")) MEGA_TRY(check_milestones(&s->milestones));
    if (is(s, "tri_stage") && !(s->lr > 0 && s->end_lr > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.end_lr: tri_stage falls by a constant factor from lr (%g) to end_lr (%g): "
            "both must be above 0",
            s->lr, s->end_lr);
    if (is(s, "triangular") && s->max_lr <= s->lr)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.max_lr: triangular goes from lr up to max_lr, but max_lr is %g and lr %g",
            s->max_lr, s->lr);
    if (is(s, "triangular") && s->period < 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "optim.period: triangular needs at least 2 updates from foot to foot, found %lld",
            (long long)s->period);
    return MEGA_OK;
}

double mega_schedule_rate(const struct mega_schedule *s, int64_t done)
{
    return schedules[s->kind].rate(s, done);
}

void mega_plateau_see(struct mega_plateau *p, const struct mega_schedule *s, int64_t done,
    double value, bool higher)
{
    if (!is(s, "reduce_lr_on_plateau") || done <= s->warmup) return;
    bool better = !p->begun ? isfinite(value)
                  : higher  ? value > p->best * (1 + s->lr_threshold)
                            : value < p->best * (1 - s->lr_threshold);
    if (better) {
        *p = (struct mega_plateau){ true, value, 0, p->reductions };
    } else if (++p->waited > s->lr_patience) {
        p->waited = 0;
        p->reductions++;
    }
}

double mega_plateau_factor(const struct mega_plateau *p, const struct mega_schedule *s)
{
    return pow(s->lr_shrink, (double)p->reductions);
}
