/* A profile for people and for programs. */
#include <stdlib.h>

#include "graph/profile.h"
#include "op/op.h"

/* the lines in use, slowest first, and their sums over all steps */
struct sorted {
    const struct mega_profile_line *line[MEGA_PROFILE_LINES];
    int n;
    double seconds, flops, chains;
};

static int by_time(const void *a, const void *b)
{
    double x = (*(const struct mega_profile_line *const *)a)->seconds,
           y = (*(const struct mega_profile_line *const *)b)->seconds;
    return (x < y) - (x > y);
}

static void sort(const struct mega_profile *p, struct sorted *s)
{
    *s = (struct sorted){ 0 };
    for (int i = 0; i < MEGA_PROFILE_LINES; i++) {
        const struct mega_profile_line *l = &p->line[i];
        if (!l->key) continue;
        s->line[s->n++] = l;
        s->seconds += l->seconds;
        /* what is computed again is no part of the model's arithmetic */
        if (l->pass != MEGA_PROFILE_AGAIN) s->flops += l->flops;
    }
    for (int i = 0; i < MEGA_PROFILE_CHAINS; i++) s->chains += p->chain[i].seconds;
    qsort(s->line, (size_t)s->n, sizeof *s->line, by_time);
}

/* the least time that this machine needs, and why */
struct limit {
    double seconds;
    const char *bound; /* "-": nothing was counted */
};

static struct limit limit_of(const struct mega_profile_line *l, const struct mega_peak *peak)
{
    double by_flops = l->flops / peak->fma_all * 1e-9,
           by_bytes = l->bytes / peak->copy_all * 1e-9;
    if (by_flops <= 0 && by_bytes <= 0) return (struct limit){ 0, "-" };
    if (by_flops > by_bytes) return (struct limit){ by_flops, "arithmetic" };
    return (struct limit){ by_bytes, "bytes" };
}

static const char *pass_name(const struct mega_profile_line *l)
{
    static const char *const names[] = { "forward", "again", "backward", "-" };
    return names[l->pass];
}

/* ---- the table ---- */

static void print_line(const struct mega_profile *p, const struct mega_profile_line *l,
    const struct mega_peak *peak, struct mega_text *to)
{
    struct limit limit = limit_of(l, peak);
    double steps = (double)p->steps;
    mega_text_add(to, "| %-16s | %-11s | %-8s | %-34s | %6.1f | %9.3f | %5.1f %% |", l->name,
        l->kernel, pass_name(l), l->shapes, (double)l->calls / steps, l->seconds / steps * 1e3,
        100 * l->seconds / p->seconds);
    if (l->flops > 0)
        mega_text_add(to, " %7.1f |", l->flops / l->seconds * 1e-9);
    else
        mega_text_add(to, " %7s |", "-");
    if (limit.seconds > 0)
        mega_text_add(
            to, " %4.0f %% | %-10s |\n", 100 * limit.seconds / l->seconds, limit.bound);
    else
        mega_text_add(to, " %6s | %-10s |\n", "-", limit.bound);
}

static void print_sum(const struct mega_profile *p, const char *name, double seconds,
    double flops, const struct mega_peak *peak, struct mega_text *to)
{
    mega_text_add(to, "| %-16s | %-11s | %-8s | %-34s | %6s | %9.3f | %5.1f %% |", name, "", "",
        "", "", seconds / (double)p->steps * 1e3, 100 * seconds / p->seconds);
    if (flops > 0)
        mega_text_add(to, " %7.1f | %4.0f %% | %-10s |\n", flops / seconds * 1e-9,
            100 * flops / seconds * 1e-9 / peak->fma_all, "arithmetic");
    else
        mega_text_add(to, " %7s | %6s | %-10s |\n", "", "", "");
}

static void print_chains(
    const struct mega_profile *p, const struct sorted *s, struct mega_text *to)
{
    mega_text_add(to,
        "\nIn plain chains, because no kernel took the region: %.1f %% of the step",
        100 * s->chains / p->seconds);
    for (int i = 0; i < MEGA_PROFILE_CHAINS && p->chain[i].region; i++)
        mega_text_add(to, "%s %s %.1f times, %.3f ms", i ? "," : ":", p->chain[i].region->name,
            (double)p->chain[i].calls / (double)p->steps,
            p->chain[i].seconds / (double)p->steps * 1e3);
    mega_text_add(to, ".\n");
}

void mega_profile_print(
    const struct mega_profile *p, const struct mega_peak *peak, struct mega_text *to)
{
    struct sorted s;
    if (!p->steps) {
        mega_text_add(to, "no step was profiled: the first one only warms up\n");
        return;
    }
    sort(p, &s);
    mega_text_add(to,
        "Mean of %lld steps; %d threads, peak %.0f GFLOP/s, %.1f GB/s copied.\n\n"
        "| op               | kernel      | pass     | shapes                             |  "
        "calls "
        "|        ms |   share | GFLOP/s |  limit | bound by   |\n"
        "|---|---|---|---|--:|--:|--:|--:|--:|---|\n",
        (long long)p->steps, peak->threads, peak->fma_all, peak->copy_all);
    for (int i = 0; i < s.n; i++) print_line(p, s.line[i], peak, to);
    print_sum(p, "rest", p->seconds - s.seconds, 0, peak, to);
    print_sum(p, "step", p->seconds, s.flops, peak, to);
    print_chains(p, &s, to);
}

/* ---- for programs ---- */

static void print_line_json(const struct mega_profile *p, const struct mega_profile_line *l,
    const struct mega_peak *peak, struct mega_text *to)
{
    struct limit limit = limit_of(l, peak);
    double steps = (double)p->steps;
    mega_text_add(to,
        "{\"op\": \"%s\", \"kernel\": \"%s\", \"pass\": \"%s\", \"shapes\": \"%s\", \"calls\": "
        "%.2f, \"ms\": %.4f, \"share\": %.4f, \"gflops\": %.2f, \"limit\": %.4f, \"bound\": "
        "\"%s\"}",
        l->name, l->kernel, pass_name(l), l->shapes, (double)l->calls / steps,
        l->seconds / steps * 1e3, l->seconds / p->seconds, l->flops / l->seconds * 1e-9,
        limit.seconds / l->seconds, limit.bound);
}

void mega_profile_print_json(
    const struct mega_profile *p, const struct mega_peak *peak, struct mega_text *to)
{
    struct sorted s;
    double steps = p->steps ? (double)p->steps : 1;
    sort(p, &s);
    mega_text_add(to,
        "{\"steps\": %lld, \"step_ms\": %.4f, \"rest_ms\": %.4f, \"chains_ms\": "
        "%.4f, \"lines\": [",
        (long long)p->steps, p->seconds / steps * 1e3, (p->seconds - s.seconds) / steps * 1e3,
        s.chains / steps * 1e3);
    for (int i = 0; i < s.n; i++) {
        if (i) mega_text_add(to, ", ");
        print_line_json(p, s.line[i], peak, to);
    }
    mega_text_add(to, "]}");
}
