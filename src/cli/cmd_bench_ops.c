/* mega bench ops: each kernel beside what the machine can do at most. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench_problem.h"
#include "cli/command.h"
#include "cli/open.h"
#include "graph/context.h"
#include "kernel/peak.h"

struct options {
    int64_t length, batch, turns;
    bool json;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "length", MEGA_OPTION_INT, AT(length), "4096", 1, 4096, NULL, "T", "places of a row", 0 },
    { "batch", MEGA_OPTION_INT, AT(batch), "2", 1, 1024, NULL, "B", "rows", 0 },
    { "turns", MEGA_OPTION_INT, AT(turns), "7", 1, 1000, NULL, "N", "turns; the median is told",
        0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL, "one JSON object a line",
        0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct bench {
    const struct options *o;
    mega_context *context;
    struct mega_peak peak;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* milliseconds of the forward and the backward pass: medians */
static void time_trial(struct mega_trial *t, int64_t turns, double ms[2])
{
    double *each = calloc(2 * (size_t)turns, sizeof *each);
    ms[0] = ms[1] = NAN;
    if (!each) return;
    for (int64_t i = -1; i < turns; i++) { /* the first turn warms up */
        double start = mega_clock_s();
        mega_trial_forward(t);
        double middle = mega_clock_s();
        mega_trial_backward(t);
        if (i < 0) continue;
        each[i] = (middle - start) * 1e3;
        each[turns + i] = (mega_clock_s() - middle) * 1e3;
    }
    for (int k = 0; k < 2; k++) {
        qsort(each + k * turns, (size_t)turns, sizeof *each, by_size);
        ms[k] = each[k * turns + turns / 2];
    }
    free(each);
}

/* the op's own reference, or NULL for a region, whose chain stands elsewhere (test/layer) */
static mega_status check(const struct mega_problem *p, const struct mega_kernel *k,
    struct mega_work *work, double *difference)
{
    enum { PLACES = 150 };
    struct mega_trial fast, plain;
    *difference = 0;
    if (!p->op->reference.forward) return MEGA_OK;
    MEGA_TRY(mega_trial_open(&fast, p, k, work, 2, PLACES));
    mega_status status = mega_trial_open(&plain, p, &p->op->reference, work, 2, PLACES);
    if (!status) {
        struct mega_trial *each[] = { &fast, &plain };
        for (int i = 0; i < 2; i++) {
            mega_trial_forward(each[i]);
            mega_trial_backward(each[i]);
        }
        *difference = mega_trial_difference(&fast, &plain);
        mega_trial_close(&plain);
    }
    mega_trial_close(&fast);
    return status;
}

static void print(const struct bench *b, const struct mega_problem *p,
    const struct mega_kernel_entry *e, const double ms[2], double flops, double bytes)
{
    /* backward: twice the products, and every operand's gradient */
    for (int k = 0; k < 2; k++) {
        double f = flops * (k + 1), m = bytes * (k + 1);
        double by_flops = f / b->peak.fma_all * 1e-6, by_bytes = m / b->peak.copy_all * 1e-6,
               limit = fmax(by_flops, by_bytes);
        const char *pass = k ? "backward" : "forward";
        if (b->o->json)
            printf("{\"op\": \"%s\", \"kernel\": \"%s/%s\", \"pass\": \"%s\", \"ms\": %.4f, "
                   "\"gflops\": %.2f, \"gbs\": %.2f, \"share\": %.4f, \"bound\": \"%s\"}\n",
                p->name, e->room, e->kernel->name, pass, ms[k], f / ms[k] * 1e-6,
                m / ms[k] * 1e-6, limit / ms[k], by_flops > by_bytes ? "arithmetic" : "bytes");
        else
            printf("| %-30s | %-13s | %-8s | %8.3f | %7.1f | %6.1f | %4.0f %% | %s |\n",
                p->name, strcmp(e->room, "cpu") ? e->room : e->kernel->name, pass, ms[k],
                f / ms[k] * 1e-6, m / ms[k] * 1e-6, 100 * limit / ms[k],
                by_flops > by_bytes ? "arithmetic" : "bytes");
    }
}

static mega_status time_kernel(
    const struct bench *b, const struct mega_problem *p, const struct mega_kernel_entry *e)
{
    struct mega_trial t;
    double difference, ms[2], flops, bytes;
    MEGA_TRY(check(p, e->kernel, &b->context->work, &difference));
    if (!(difference <= 5e-5))
        return mega_fail(MEGA_INTERNAL,
            "%s by %s/%s differs from its reference by %.3g: not timed", p->name, e->room,
            e->kernel->name, difference);
    MEGA_TRY(mega_trial_open(&t, p, e->kernel, &b->context->work, b->o->batch, b->o->length));
    const char *why;
    if (!e->kernel->accepts || e->kernel->accepts(&t.call, &why)) {
        time_trial(&t, b->o->turns, ms);
        mega_op_cost(&t.call, &flops, &bytes);
        print(b, p, e, ms, flops, bytes);
        fflush(stdout);
    }
    mega_trial_close(&t);
    return MEGA_OK;
}

static bool wanted(const struct mega_line *line, const struct mega_op *op)
{
    for (int i = 0; i < line->n_words; i++)
        if (!strcmp(line->word[i], op->name)) return true;
    return line->n_words == 0;
}

/* every kernel that this context may use */
static mega_status time_all(const struct bench *b, const struct mega_line *line)
{
    const struct mega_kernel_limits *limits = &b->context->limits;
    for (const struct mega_problem *p = mega_problems; p->name; p++)
        for (const struct mega_kernel_entry *e = mega_kernels; wanted(line, p->op) && e->op;
             e++) {
            if (e->op != p->op || e->isa > limits->isa ||
                (limits->rooms && !strstr(limits->rooms, e->room)))
                continue;
            MEGA_TRY(time_kernel(b, p, e));
        }
    return MEGA_OK;
}

static mega_status bench(struct bench *b, const struct mega_line *line)
{
    for (int i = 0; i < line->n_words; i++)
        if (!mega_op_find(line->word[i]))
            return mega_fail(MEGA_BAD_ARGUMENT, "there is no op called %s", line->word[i]);
    MEGA_TRY(mega_open_context(&b->context, &b->o->open));
    MEGA_TRY(mega_peak_measure(&b->context->work, b->context->limits.isa, 1, &b->peak));
    if (!b->o->json)
        printf("%d threads, peak %.0f GFLOP/s, %.1f GB/s copied; %lld rows of %lld places\n\n| "
               "op | kernel | pass | ms | GFLOP/s | GB/s | share of the limit | bound by |\n"
               "|---|---|---|---|---|---|---|---|\n",
            b->peak.threads, b->peak.fma_all, b->peak.copy_all, (long long)b->o->batch,
            (long long)b->o->length);
    return time_all(b, line);
}

static int run(const struct mega_line *line)
{
    struct bench b = { .o = line->options };
    mega_status status = bench(&b, line);
    mega_context_free(b.context);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_ops = {
    .name = "bench ops",
    .summary = "Time every kernel beside the machine's measured peaks",
    .words = "[OP]...",
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Sizes are those of a Mega layer of the LRA text recipe. A kernel is first held "
              "to its op's reference on a small problem, and not timed if "
              "it differs. The limit of a pass is the larger of its FLOPs over the measured "
              "peak of multiply-adds and its least bytes over the measured "
              "copy; a backward pass counts twice the forward one.",
    .run = run,
};
