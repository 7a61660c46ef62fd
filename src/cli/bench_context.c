#include "cli/bench_context.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cli/bench_generate.h"
#include "cli/median.h"
#include "train/stop.h"

enum { BLOCK = 4096 }; /* tokens of the context that are made up at a time */

struct bench {
    const struct mega_context_plan *plan;
    struct mega_context_result *to;
    const mega_model *model;
    mega_run *run;
    struct mega_rng random;
    int32_t *ids; /* [BLOCK], or as many as are read on the clock */
    struct mega_bench_generator reader, kept[MEGA_CONTEXTS];
    int n; /* lengths that were read */
};

/* ---- reading ---- */

static const int32_t *fill(struct bench *b, int64_t n)
{
    uint32_t ids = (uint32_t)b->model->language.vocabulary.size;
    for (int64_t i = 0; i < n; i++) b->ids[i] = (int32_t)mega_rng_below(&b->random, ids);
    return b->ids;
}

/* n tokens more; *late: they did not fit into the time that is left */
static mega_status read_on(struct bench *b, int64_t n, bool *late)
{
    double start = mega_clock_s();
    *late = false;
    for (int64_t at = 0; at < n && !*late; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;
        if (mega_stop_signal())
            return mega_fail(MEGA_STOPPED, "stopped by %s", mega_stop_name(mega_stop_signal()));
        MEGA_TRY(mega_bench_generator_read(&b->reader, fill(b, m), m));
        *late = b->plan->seconds > 0 && mega_clock_s() - start > b->plan->seconds;
    }
    return MEGA_OK;
}

/* ---- one length, from its state ---- */

/* a fresh copy of a kept state, with room for what is measured */
static mega_status begin(struct bench *b, struct mega_bench_generator *trial, int i)
{
    int64_t room = b->to->row[i].context + b->plan->read + b->plan->make;
    MEGA_TRY(mega_bench_generator_init(trial, b->model, b->run, 1, room));
    mega_bench_generator_copy(trial, &b->kept[i]);
    return MEGA_OK;
}

/* *us: of one of n tokens that are read, or made, after length i */
static mega_status time_tokens(struct bench *b, int i, bool make, double *us)
{
    struct mega_bench_generator trial;
    int64_t n = make ? b->plan->make : b->plan->read;
    mega_status status = begin(b, &trial, i);
    const int32_t *ids = fill(b, b->plan->read);
    double start = mega_clock_s();
    if (!status)
        status = make ? mega_bench_generator_make(&trial, n)
                      : mega_bench_generator_read(&trial, ids, n);
    *us = (mega_clock_s() - start) * 1e6 / (double)n;
    mega_bench_generator_done(&trial);
    return status;
}

/* ---- all lengths ---- */

/* keeps the state behind the text so far as length i, and what is resident there */
static mega_status keep(struct bench *b, int i)
{
    struct mega_context_row *row = &b->to->row[i];
    struct mega_bench_generator trial = { 0 };
    row->read_memory = (double)mega_memory_resident();
    mega_bench_generator_copy(&b->kept[i], &b->reader);
    mega_status status = begin(b, &trial, i);
    row->state = status ? 0 : (int64_t)mega_stream_size(trial.stepper.stream);
    if (!status) status = mega_bench_generator_make(&trial, b->plan->make);
    row->make_memory = (double)mega_memory_resident();
    mega_bench_generator_done(&trial);
    return status;
}

/* the text may be this long, by the model's table of positions */
static bool fits(struct bench *b, int i)
{
    struct mega_context_row *row = &b->to->row[i];
    int64_t longest = b->model->language.shape.longest,
            places = row->context + b->plan->read + b->plan->make;
    if (!longest || places <= longest) return true;
    snprintf(row->note, sizeof row->note,
        "not measured: with %lld tokens after it there are more than the %lld places of this "
        "model",
        (long long)(places - row->context), (long long)longest);
    return false;
}

static mega_status read_all(struct bench *b)
{
    const struct mega_context_plan *p = b->plan;
    mega_stream_reset(b->reader.stepper.stream);
    for (int i = 0; i < p->n; i++) {
        bool late = false;
        if (!fits(b, i)) continue;
        MEGA_TRY(read_on(b, p->context[i] - (i ? p->context[i - 1] : 0), &late));
        if (late) {
            for (; i < p->n; i++)
                snprintf(b->to->row[i].note, sizeof b->to->row[i].note,
                    "given up: reading it takes more than %g s", p->seconds);
            return MEGA_OK;
        }
        MEGA_TRY(keep(b, i));
        b->n = i + 1;
    }
    return MEGA_OK;
}

/* The states that will be kept have their memory from the start, and the run has its own: what
 * is resident later differs by the text alone. */
static mega_status open_states(struct bench *b)
{
    const struct mega_context_plan *p = b->plan;
    int64_t some = p->context[0] < BLOCK ? p->context[0] : BLOCK;
    for (int i = 0; i <= p->n; i++) {
        struct mega_bench_generator *g = i < p->n ? &b->kept[i] : &b->reader;
        int64_t room = i < p->n ? p->context[i] : p->context[p->n - 1];
        if (i < p->n && !fits(b, i)) continue;
        MEGA_TRY(mega_bench_generator_init(g, b->model, b->run, 1, room));
        MEGA_TRY(mega_bench_generator_read(g, fill(b, some), some));
    }
    return MEGA_OK;
}

static mega_status measure(struct bench *b)
{
    MEGA_TRY(open_states(b));
    MEGA_TRY(read_all(b));
    for (int round = 0; round < b->plan->rounds; round++)
        for (int i = 0; i < b->n; i++) {
            struct mega_context_row *row = &b->to->row[i];
            if (mega_stop_signal())
                return mega_fail(
                    MEGA_STOPPED, "stopped by %s", mega_stop_name(mega_stop_signal()));
            MEGA_TRY(time_tokens(b, i, false, &row->read_us[round]));
            MEGA_TRY(time_tokens(b, i, true, &row->make_us[round]));
        }
    return MEGA_OK;
}

/* ---- before and after ---- */

static mega_status open_rows(struct mega_context_result *to, const struct mega_context_plan *p)
{
    *to = (struct mega_context_result){ .n = p->n, .rounds = p->rounds };
    for (int i = 0; i < p->n; i++) {
        struct mega_context_row *row = &to->row[i];
        row->context = p->context[i];
        row->read_us = calloc((size_t)p->rounds, sizeof *row->read_us);
        row->make_us = calloc((size_t)p->rounds, sizeof *row->make_us);
        if (!row->read_us || !row->make_us) return mega_fail(MEGA_NO_MEMORY, "no memory");
    }
    return MEGA_OK;
}

mega_status mega_context_measure(struct mega_context_result *to, mega_context *c,
    const mega_model *m, const struct mega_context_plan *plan)
{
    struct bench b = { .plan = plan, .to = to, .model = m };
    mega_rng_start(&b.random, 1, 3);
    mega_status status = open_rows(to, plan);
    b.ids = malloc((size_t)(plan->read < BLOCK ? BLOCK : plan->read) * sizeof *b.ids);
    if (!status && !b.ids) status = mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    if (!status) status = mega_run_new(&b.run, c);
    if (!status) mega_run_set_dtype(b.run, mega_precision_type(plan->precision));
    if (!status) status = measure(&b);
    for (int i = 0; i < plan->n; i++) mega_bench_generator_done(&b.kept[i]);
    mega_bench_generator_done(&b.reader);
    mega_run_free(b.run);
    free(b.ids);
    if (status) mega_context_result_done(to);
    return status;
}

void mega_context_result_done(struct mega_context_result *r)
{
    for (int i = 0; i < r->n; i++) {
        free(r->row[i].read_us);
        free(r->row[i].make_us);
    }
    *r = (struct mega_context_result){ 0 };
}

struct mega_context_summary mega_context_summarise(
    const struct mega_context_result *r, int row, bool made)
{
    struct mega_context_summary s = { NAN, NAN, NAN, NAN };
    const double *us = made ? r->row[row].make_us : r->row[row].read_us,
                 *first = made ? r->row[0].make_us : r->row[0].read_us;
    double *copy = calloc((size_t)r->rounds, sizeof *copy);
    if (!copy || *r->row[row].note) {
        free(copy);
        return s;
    }
    for (int i = 0; i < r->rounds; i++) {
        s.least = fmin(s.least, us[i]);
        s.most = fmax(s.most, us[i]);
        copy[i] = us[i];
    }
    s.us = mega_median(copy, r->rounds);
    for (int i = 0; i < r->rounds; i++) copy[i] = us[i] / first[i];
    if (!*r->row[0].note) s.ratio = mega_median(copy, r->rounds);
    free(copy);
    return s;
}
