#include "train/report_axis.h"

#include <math.h>
#include <stdio.h>

void mega_range_widen(struct mega_range *r, double value)
{
    if (!isfinite(value)) return;
    r->low = fmin(r->low, value);
    r->high = fmax(r->high, value);
}

static void add_tick(struct mega_axis *a, double value)
{
    double at = a->log ? log10(value) : value, slack = 1e-9 * (a->to - a->from);
    if (a->n_ticks < MEGA_TICKS && at >= a->from - slack && at <= a->to + slack)
        a->tick[a->n_ticks++] = value;
}

/* multiples of 1, 2 or 5 times a power of ten */
static void add_even_ticks(struct mega_axis *a, int wanted)
{
    double rough = (a->to - a->from) / wanted, power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    a->spacing = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    for (double i = ceil(a->from / a->spacing - 1e-9); i * a->spacing < a->to * (1 + 1e-9); i++)
        add_tick(a, i == 0 ? 0 : i * a->spacing); /* never -0 */
}

/* powers of ten, and 2 and 5 times these where few of them are in sight */
static void add_log_ticks(struct mega_axis *a)
{
    bool between = a->to - a->from < 3;
    for (double power = floor(a->from); power <= a->to; power++) {
        add_tick(a, pow(10, power));
        if (between) add_tick(a, 2 * pow(10, power));
        if (between) add_tick(a, 5 * pow(10, power));
    }
}

struct mega_axis mega_axis_make(
    struct mega_range r, bool log, double air, int ticks, double begin, double end)
{
    struct mega_axis a = { .begin = begin, .end = end, .log = log };
    if (r.low > r.high) r = (struct mega_range){ 0, 1 };
    if (log) r = (struct mega_range){ log10(r.low), log10(r.high) };
    double size = r.high - r.low;
    if (!(size > 1e-9 * fabs(r.high))) {
        /* one value alone stands in the middle */
        size = r.high == 0 ? 1 : fabs(r.high);
        air = 0.5;
    }
    a.from = r.low - air * size;
    a.to = r.high + air * size;
    if (!log && r.low >= 0 && a.from < 0) a.from = 0;
    if (log)
        add_log_ticks(&a);
    else
        add_even_ticks(&a, ticks);
    return a;
}

double mega_axis_place(const struct mega_axis *a, double value)
{
    double at = a->log ? log10(value) : value;
    return a->begin + (a->end - a->begin) * (at - a->from) / (a->to - a->from);
}

void mega_axis_word(const struct mega_axis *a, double value, char out[32])
{
    double size = fmax(fabs(a->from), fabs(a->to));
    if (a->log || (value != 0 && (size < 1e-3 || size >= 1e9)))
        snprintf(out, 32, "%.3g", value);
    else if (value != 0 && size >= 1e6)
        snprintf(out, 32, "%.4gM", value / 1e6);
    else if (value != 0 && size >= 1e4)
        snprintf(out, 32, "%.4gk", value / 1e3);
    else
        snprintf(out, 32, "%.*f", (int)fmax(0, -floor(log10(a->spacing) + 1e-9)), value);
}
