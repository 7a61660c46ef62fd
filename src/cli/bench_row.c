#include "cli/bench_row.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/machine.h"
#include "cli/median.h"
#include "format/node.h"

/* ---- the list ---- */

static mega_status add(struct mega_rows_list *rows, const struct mega_subject *s,
    const struct mega_engine *e, int rounds)
{
    struct mega_row *row = &rows->item[rows->n++];
    *row = (struct mega_row){ .subject = s, .engine = e };
    row->run = calloc((size_t)rounds, sizeof *row->run);
    return row->run ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for %d rounds", rounds);
}

static mega_status add_engines(struct mega_rows_list *rows, const struct mega_subject *s,
    const struct mega_engines *engines, int rounds)
{
    for (int e = 0; e < engines->n; e++)
        if (mega_engine_takes(&engines->item[e], s))
            MEGA_TRY(add(rows, s, &engines->item[e], rounds));
    return MEGA_OK;
}

/* the group of subject i begins with it */
static bool begins_group(const struct mega_subjects *subjects, int i)
{
    for (int k = 0; k < i; k++)
        if (mega_subject_same_group(&subjects->item[k], &subjects->item[i])) return false;
    return true;
}

mega_status mega_rows_list_init(struct mega_rows_list *rows,
    const struct mega_subjects *subjects, const struct mega_engines *engines, int rounds)
{
    *rows = (struct mega_rows_list){ 0 };
    rows->item = calloc((size_t)(subjects->n * engines->n), sizeof *rows->item);
    if (!rows->item) return mega_fail(MEGA_NO_MEMORY, "no memory for the table");
    for (int i = 0; i < subjects->n; i++) {
        const struct mega_subject *first = &subjects->item[i];
        for (int k = i; begins_group(subjects, i) && k < subjects->n; k++)
            if (mega_subject_same_group(first, &subjects->item[k]))
                MEGA_TRY(add_engines(rows, &subjects->item[k], engines, rounds));
    }
    return MEGA_OK;
}

void mega_rows_list_done(struct mega_rows_list *rows)
{
    for (int i = 0; i < rows->n; i++) {
        for (int k = 0; k < rows->item[i].n; k++) free(rows->item[i].run[k].line);
        free(rows->item[i].run);
    }
    free(rows->item);
    *rows = (struct mega_rows_list){ 0 };
}

/* ---- measuring ---- */

static void give_up(struct mega_row *row, bool broken, const char *format, ...)
    MEGA_PRINTF(3, 4);

static void give_up(struct mega_row *row, bool broken, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(row->note, sizeof row->note, format, args);
    va_end(args);
    row->given_up = true;
    row->broken = broken;
}

/* a number of the JSON object, or NaN */
static double number(const struct mega_document *d, const char *key)
{
    const struct mega_node *n = mega_node_find(d->root, key);
    return n && (n->kind == MEGA_NODE_INT || n->kind == MEGA_NODE_REAL) ? n->real : NAN;
}

/* the run of a JSON object that has its numbers; a peer may say there why it failed */
static void read_run(struct mega_row *row, const struct mega_document *d, const char *line,
    struct mega_bench_run run)
{
    const struct mega_node *failed = mega_node_find(d->root, "failed");
    run.tokens_per_s = number(d, "tokens_per_s");
    run.step_ms = number(d, "median_ms");
    run.peak_mb = number(d, "peak_rss_mb");
    run.import_mb = number(d, "import_rss_mb");
    if (failed && failed->kind == MEGA_NODE_TEXT)
        give_up(
            row, strncmp(failed->text, "out of memory", 13) != 0, "failed: %s", failed->text);
    else if (!(run.tokens_per_s > 0) || isnan(run.step_ms) || isnan(run.peak_mb))
        give_up(row, true, "failed: no speed, time or memory in its JSON object");
    else if ((run.line = strdup(line)))
        row->run[row->n++] = run;
    else
        give_up(row, true, "failed: no memory to keep what it printed");
}

/* what this program says when it fails: "mega: <message>", perhaps with a hint below */
static const char *our_message(struct mega_text *t)
{
    char *line = t->data ? strstr(t->data, "mega: ") : NULL;
    if (!line) return mega_text_last_line(t);
    line[strcspn(line, "\n")] = 0;
    return line + strlen("mega: ");
}

/* why it ended as it did, where it printed no JSON object */
static void explain(struct mega_row *row, struct mega_child *c)
{
    const char *said = row->engine->peer ? mega_text_last_line(&c->err) : our_message(&c->err);
    if (strstr(said, "No module named 'torch'"))
        give_up(row, true, "absent: no torch in the peers' interpreter");
    else if (c->end == MEGA_CHILD_CRASHED)
        give_up(row, true, "failed: ended by signal %d (%s)", c->code, strsignal(c->code));
    else if (*said)
        give_up(row, true, "failed: %s", said);
    else
        give_up(row, true, "failed: exit status %d, no JSON object in its output", c->code);
}

static void read_child(struct mega_row *row, struct mega_child *c, struct mega_bench_run run,
    const struct mega_child_limits *limits)
{
    struct mega_document d;
    const char *line = mega_text_last_line(&c->out);
    if (c->end == MEGA_CHILD_OVER_TIME) {
        give_up(row, false, "stopped: took more than %.0f s", limits->seconds);
    } else if (c->end == MEGA_CHILD_OVER_MEMORY) {
        give_up(row, false, "stopped: needed more than %.0f MB", limits->memory_mb);
    } else if (*line == '{' && !mega_json_parse(&d, "its output", line, strlen(line))) {
        read_run(row, &d, line, run);
        mega_document_done(&d);
    } else {
        explain(row, c);
    }
}

mega_status mega_row_measure(struct mega_row *row, int round,
    const struct mega_bench_setup *setup, const struct mega_child_limits *limits)
{
    struct mega_words words = { 0 };
    struct mega_child child = { 0 };
    struct mega_bench_run run = { .round = round, .load = mega_machine_load() };
    mega_engine_command(row->engine, row->subject, setup, &words);
    char **argv = mega_words_argv(&words);
    mega_status status = MEGA_OK;
    if (!argv) {
        status = mega_fail(MEGA_NO_MEMORY, "no memory for a command line");
    } else if (mega_child_run(&child, argv, limits)) {
        give_up(row, true, "absent: %s", mega_message());
    } else if (child.end == MEGA_CHILD_STOPPED) {
        status = mega_fail(MEGA_STOPPED, "stopped: the table holds what was measured so far");
    } else {
        run.seconds = child.seconds;
        read_child(row, &child, run, limits);
    }
    mega_child_done(&child);
    mega_words_done(&words);
    free(argv);
    return status;
}

/* ---- what shorter rows tell ---- */

/* the row of the same model on the same engine with the greatest length below `below` */
static const struct mega_row *shorter(
    const struct mega_row *row, const struct mega_rows_list *rows, int64_t below)
{
    const struct mega_row *best = NULL;
    for (const struct mega_row *r = rows->item; r < rows->item + rows->n; r++) {
        if (r->engine != row->engine || !mega_subject_alike(r->subject, row->subject)) continue;
        if (r->subject->length < below && (!best || r->subject->length > best->subject->length))
            best = r;
    }
    return best;
}

/* What grows at least as fast as a straight line through two lengths needs at least this much
 * at a third. */
static double least_at(int64_t at, int64_t x1, double y1, int64_t x2, double y2)
{
    return y2 + fmax(0, y2 - y1) / (double)(x2 - x1) * (double)(at - x2);
}

void mega_row_predict(struct mega_row *row, const struct mega_rows_list *rows,
    const struct mega_child_limits *limits)
{
    int64_t length = row->subject->length;
    const struct mega_row *near = shorter(row, rows, length);
    if (!near) return;
    if (near->given_up && !near->broken) {
        give_up(row, false, "not tried: %lld places were too many already",
            (long long)near->subject->length);
        return;
    }
    const struct mega_row *far = shorter(row, rows, near->subject->length);
    if (!far || !far->n || !near->n) return;
    int64_t x1 = far->subject->length, x2 = near->subject->length;
    double mb = least_at(length, x1, far->run[0].peak_mb, x2, near->run[0].peak_mb),
           s = least_at(length, x1, far->run[0].seconds, x2, near->run[0].seconds);
    if (limits->memory_mb > 0 && mb > limits->memory_mb)
        give_up(row, false, "not tried: would need more than %.0f MB", mb);
    else if (limits->seconds > 0 && s > limits->seconds)
        give_up(row, false, "not tried: would take more than %.0f s", s);
}

/* ---- summary ---- */

/* the median over rounds of a's speed over b's */
static double ratio(const struct mega_row *a, const struct mega_row *b)
{
    double *each = b ? calloc((size_t)a->n + 1, sizeof *each) : NULL;
    int n = 0;
    for (int i = 0; each && i < a->n; i++)
        for (int k = 0; k < b->n; k++)
            if (a->run[i].round == b->run[k].round)
                each[n++] = a->run[i].tokens_per_s / b->run[k].tokens_per_s;
    double median = each ? mega_median(each, n) : NAN;
    free(each);
    return median;
}

static const struct mega_row *our_row(
    const struct mega_row *row, const struct mega_rows_list *rows)
{
    for (const struct mega_row *r = rows->item; r < rows->item + rows->n; r++)
        if (!r->engine->peer && r->subject == row->subject) return r;
    return NULL;
}

/* The Transformer of the same length, width and depth on the same engine: compiled and
 * bfloat16 alike, without dropout on its weights. */
static const struct mega_row *transformer(
    const struct mega_row *row, const struct mega_rows_list *rows)
{
    const struct mega_subject *s = row->subject;
    const struct mega_engine *e = row->engine;
    for (const struct mega_row *r = rows->item; r < rows->item + rows->n; r++) {
        const struct mega_subject *t = r->subject;
        const struct mega_engine *f = r->engine;
        if (mega_subject_is_transformer(t) && mega_subject_same_group(s, t) &&
            s->batch == t->batch && s->width == t->width && s->layers == t->layers &&
            e->peer == f->peer && e->compiled == f->compiled && e->bf16 == f->bf16 &&
            !f->dropout)
            return r;
    }
    return NULL;
}

struct mega_row_summary mega_row_summarise(
    const struct mega_row *row, const struct mega_rows_list *rows, double gflops)
{
    struct mega_row_summary s = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    double *speed = row->n ? calloc(2 * (size_t)row->n, sizeof *speed) : NULL;
    if (!speed) return s;
    double *ms = speed + row->n;
    for (int i = 0; i < row->n; i++) {
        speed[i] = row->run[i].tokens_per_s;
        ms[i] = row->run[i].step_ms;
        s.least = fmin(s.least, speed[i]);
        s.most = fmax(s.most, speed[i]);
        s.peak_mb = fmax(s.peak_mb, row->run[i].peak_mb);
        s.load = fmax(s.load, row->run[i].load);
    }
    s.tokens_per_s = mega_median(speed, row->n);
    s.step_ms = mega_median(ms, row->n);
    if (gflops > 0)
        s.utilisation = s.tokens_per_s * mega_subject_flops(row->subject) / (gflops * 1e9);
    s.to_transformer = ratio(row, transformer(row, rows));
    if (row->engine->peer && our_row(row, rows)) s.ours = ratio(our_row(row, rows), row);
    free(speed);
    return s;
}
