/* mega bench ops: each kernel beside what the machine can do at most. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench_problem.h"
#include "cli/command.h"
#include "cli/median.h"
#include "cli/open.h"
#include "graph/precision.h"
#include "kernel/check.h"
#include "kernel/peak.h"

struct options {
    int precision;
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
    { "precision", MEGA_OPTION_CHOICE, AT(precision), "float32", 0, 0, MEGA_PRECISION_CHOICES,
        NULL, "of activations", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL, "one JSON object a line",
        0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct bench {
    const struct options *o;
    mega_context *context;
    struct mega_peak peak;
    struct mega_check check;
    bool *wrong; /* [kernels]: differs from its reference */
    int failed;  /* how many */
};

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
    for (int k = 0; k < 2; k++) ms[k] = mega_median(each + k * turns, (int)turns);
    free(each);
}

static void print(const struct bench *b, const struct mega_problem *p,
    const struct mega_kernel_entry *e, const double ms[2], const struct mega_call *c)
{
    for (int k = 0; k < 2; k++) {
        double f, m;
        (k ? mega_op_cost_back : mega_op_cost)(c, &f, &m);
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

/* one line on standard error about what is not timed */
static void leave_out(const char *what, const struct mega_kernel_entry *e, const char *why)
{
    fprintf(
        stderr, "mega: %s by %s/%s is not timed: %s\n", what, e->room, e->kernel->name, why);
}

static mega_status time_kernel(
    const struct bench *b, const struct mega_problem *p, const struct mega_kernel_entry *e)
{
    struct mega_trial t;
    double ms[2];
    if (!e->kernel->backward) {
        leave_out(p->name, e, "it has no backward pass");
        return MEGA_OK;
    }
    MEGA_TRY(mega_trial_open(&t, p, e->kernel, &b->context->work, b->o->batch, b->o->length,
        mega_precision_type(b->o->precision)));
    if (t.refusal) {
        leave_out(p->name, e, t.refusal);
    } else {
        time_trial(&t, b->o->turns, ms);
        print(b, p, e, ms, &t.call);
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

static bool allowed(const struct bench *b, const struct mega_kernel_entry *e)
{
    const struct mega_kernel_limits *limits = &b->context->limits;
    if (e->widened && mega_precision_type(b->o->precision) != MEGA_BF16) return false;
    return e->isa <= limits->isa && (!limits->rooms || strstr(limits->rooms, e->room));
}

/* held to its reference first: a wrong kernel is told, and not timed */
static bool right(struct bench *b, const struct mega_kernel_entry *e)
{
    if (!mega_check_kernel(&b->check, e)) return true;
    leave_out(e->op->name, e, mega_message());
    b->failed++;
    return false;
}

/* every kernel that this context may use, on every problem of its op */
static mega_status time_all(struct bench *b, const struct mega_line *line)
{
    for (const struct mega_problem *p = mega_problems; p->name; p++) {
        bool first = p == mega_problems || p[-1].op != p->op;
        for (int i = 0; wanted(line, p->op) && mega_kernels[i].op; i++) {
            const struct mega_kernel_entry *e = &mega_kernels[i];
            if (e->op != p->op || !allowed(b, e)) continue;
            if (first) b->wrong[i] = !right(b, e);
            if (!b->wrong[i]) MEGA_TRY(time_kernel(b, p, e));
        }
    }
    return b->failed
               ? mega_fail(MEGA_INTERNAL,
                     "%d kernels differ from their references on this machine: please report",
                     b->failed)
               : MEGA_OK;
}

/* an op's name that is none, with the nearest one */
static mega_status refuse_op(const char *name)
{
    const char *nearest = mega_ops[0]->name;
    for (const struct mega_op *const *op = mega_ops; *op; op++)
        if (mega_text_distance((*op)->name, name) < mega_text_distance(nearest, name))
            nearest = (*op)->name;
    return mega_fail(
        MEGA_BAD_ARGUMENT, "there is no op called %s; the nearest is %s", name, nearest);
}

static mega_status bench(struct bench *b, const struct mega_line *line)
{
    for (int i = 0; i < line->n_words; i++)
        if (!mega_op_find(line->word[i])) return refuse_op(line->word[i]);
    int kernels = 0;
    while (mega_kernels[kernels].op) kernels++;
    b->wrong = calloc((size_t)kernels + 1, sizeof *b->wrong);
    if (!b->wrong) return mega_fail(MEGA_NO_MEMORY, "no memory to list %d kernels", kernels);
    MEGA_TRY(mega_check_init(&b->check));
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
    mega_check_done(&b.check);
    mega_context_free(b.context);
    free(b.wrong);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_ops = {
    .name = "bench ops",
    .summary = "Time every kernel beside the machine's measured peaks",
    .words = "[OP]...",
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Sizes are those of a Mega layer of the LRA text recipe, of some ops those of a "
              "Megalodon of width 384. A kernel is first held "
              "to its op's reference (as mega doctor --check does); one that differs is named, "
              "not timed, and the status is 1. The limit of a pass is the larger of its FLOPs "
              "over the measured peak of multiply-adds and its least bytes over the measured "
              "copy. FLOPs are those of products and filters, twice as many on the way back. "
              "Least bytes: every operand once; on the way back the outputs' gradients and the "
              "inputs that are needed are read, the inputs' gradients written.",
    .run = run,
};
