#include "optim/rates.h"

#include <math.h>
#include <stdlib.h>

static const double pi = 3.14159265358979323846;

/* the way up, n <= W: lr0 + (n/W)^a (lr - lr0); without a warm-up the rate itself */
static double warm(const struct mega_schedule *s, int64_t n)
{
    if (s->warmup == 0) return s->lr;
    double way = (double)n / (double)s->warmup;
    return s->warmup_init_lr + pow(way, (double)s->warmup_power) * (s->lr - s->warmup_init_lr);
}

double mega_rate_linear_decay(const struct mega_schedule *s, int64_t n)
{
    if (n <= s->warmup) return warm(s, n);
    if (n >= s->steps) return s->end_lr;
    double left = (double)(s->steps - n) / (double)(s->steps - s->warmup);
    return s->end_lr + (s->lr - s->end_lr) * left;
}

double mega_rate_polynomial_decay(const struct mega_schedule *s, int64_t n)
{
    if (s->warmup > 0 && n <= s->warmup) return warm(s, n);
    if (n >= s->steps) return s->end_lr;
    double gone = (double)(n - s->warmup) / (double)(s->steps - s->warmup);
    return s->end_lr + (s->lr - s->end_lr) * pow(1 - gone, s->power);
}

double mega_rate_inverse_sqrt(const struct mega_schedule *s, int64_t n)
{
    if (n < s->warmup) return warm(s, n);
    return s->lr * sqrt((double)s->warmup) / sqrt((double)n);
}

/* half a cosine (`cycles` whole ones halved) from lr down to end_lr, there it stays */
static double one_cosine(const struct mega_schedule *s, double t)
{
    double length = (double)(s->steps - s->warmup);
    if (t >= length) return s->end_lr;
    return s->end_lr + (s->lr - s->end_lr) * (1 + cos(pi * s->cycles * t / length)) / 2;
}

double mega_rate_cosine(const struct mega_schedule *s, int64_t n)
{
    if (n < s->warmup) return warm(s, n);
    double t = (double)(n - s->warmup);
    if (s->period == 0) return one_cosine(s, t);

    /* period i is period * t_mult^i long and starts anew at lr * lr_shrink^i */
    double length = (double)s->period, i = 0;
    if (s->t_mult == 1) {
        i = floor(t / length);
        t -= i * length;
    } else {
        for (; t >= length; i++) {
            t -= length;
            length *= s->t_mult;
        }
    }
    double shrunk = pow(s->lr_shrink, i), high = s->lr * shrunk, low = s->end_lr * shrunk;
    return low + (high - low) * (1 + cos(pi * t / length)) / 2;
}

/* fairseq warms up from lr/W, as if one update had been made already; with a given start the
 * way is that of the other schedules (Megalodon) */
double mega_rate_fixed(const struct mega_schedule *s, int64_t n)
{
    if (n >= s->warmup) return s->lr;
    if (s->warmup_init_lr >= 0) return warm(s, n);
    return s->lr * (double)(n + 1) / (double)s->warmup;
}

/* multiples of the period within the warm-up do not count */
double mega_rate_step(const struct mega_schedule *s, int64_t n)
{
    if (n <= s->warmup) return warm(s, n);
    int64_t drops = n / s->period - s->warmup / s->period;
    return s->lr * pow(s->lr_shrink, (double)drops);
}

double mega_rate_milestone(const struct mega_schedule *s, int64_t n)
{
    if (n <= s->warmup) return warm(s, n);
    int drops = 0;
    for (int i = 0; i < s->milestones.n; i++) {
        int64_t at = strtoll(s->milestones.item[i], NULL, 10);
        drops += at > s->warmup && at <= n;
    }
    return s->lr * pow(s->lr_shrink, drops);
}

double mega_rate_tri_stage(const struct mega_schedule *s, int64_t n)
{
    int64_t fall = s->warmup + s->hold_steps;
    if (n < s->warmup) return warm(s, n);
    if (n < fall) return s->lr;
    if (n > fall + s->decay_steps) return s->end_lr;
    double gone = (double)(n - fall) / (double)s->decay_steps;
    return s->lr * exp(log(s->end_lr / s->lr) * gone);
}

/* a saw between lr and max_lr; its tops (and with shrink_min its feet) shrink cycle by cycle */
double mega_rate_triangular(const struct mega_schedule *s, int64_t n)
{
    int64_t half = s->period / 2, cycle = n / (2 * half);
    double shrunk = pow(s->lr_shrink, (double)cycle);
    double high = s->max_lr * shrunk, low = s->shrink_min ? s->lr * shrunk : s->lr;
    double from_top = fabs((double)n / (double)half - 2 * (double)cycle - 1);
    return low + (high - low) * fmax(0, 1 - from_top);
}

double mega_rate_plateau(const struct mega_schedule *s, int64_t n)
{
    return n <= s->warmup ? warm(s, n) : s->lr;
}
