#include "train/report_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/node.h"

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for the log's curves");
}

/* a number, or one of the words that stand for what JSON cannot write */
static bool number(const struct mega_node *node, double *out)
{
    if (!node) return false;
    if (node->kind == MEGA_NODE_INT || node->kind == MEGA_NODE_REAL) {
        *out = node->real;
        return true;
    }
    static const struct {
        const char *word;
        double value;
    } words[] = { { "nan", NAN }, { "inf", INFINITY }, { "-inf", -INFINITY } };
    for (int i = 0; node->kind == MEGA_NODE_TEXT && i < 3; i++)
        if (!strcmp(node->text, words[i].word)) {
            *out = words[i].value;
            return true;
        }
    return false;
}

static const char *text_of(const struct mega_node *map, const char *key, const char *otherwise)
{
    const struct mega_node *node = mega_node_find(map, key);
    return node && node->kind == MEGA_NODE_TEXT ? node->text : otherwise;
}

const struct mega_curve *mega_run_log_find(
    const struct mega_run_log *log, const char *split, const char *quantity)
{
    for (int i = 0; i < log->n_curves; i++)
        if (!strcmp(log->curve[i].split, split) && !strcmp(log->curve[i].quantity, quantity))
            return &log->curve[i];
    return NULL;
}

static struct mega_curve *curve_for(
    struct mega_run_log *log, const char *split, const char *quantity)
{
    const struct mega_curve *found = mega_run_log_find(log, split, quantity);
    if (found) return &log->curve[found - log->curve];
    struct mega_curve *more =
        realloc(log->curve, ((size_t)log->n_curves + 1) * sizeof *log->curve);
    if (!more) return NULL;
    log->curve = more;
    struct mega_curve *c = &log->curve[log->n_curves++];
    *c = (struct mega_curve){ 0 };
    snprintf(c->split, sizeof c->split, "%s", split);
    snprintf(c->quantity, sizeof c->quantity, "%s", quantity);
    return c;
}

static mega_status add_point(struct mega_run_log *log, const char *split, const char *quantity,
    double step, double value)
{
    struct mega_curve *c = curve_for(log, split, quantity);
    if (!c) return no_memory();
    if (c->n == c->room) {
        int room = c->room ? 2 * c->room : 64;
        struct mega_point *at = realloc(c->at, (size_t)room * sizeof *at);
        if (!at) return no_memory();
        c->at = at;
        c->room = room;
    }
    c->at[c->n++] = (struct mega_point){ step, value };
    return MEGA_OK;
}

static bool bookkeeping(const char *key)
{
    static const char *const keys[] = { "kind", "step", "epoch", "split", "rows", "tokens",
        "seconds" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return true;
    return false;
}

static void take_progress(struct mega_run_log *log, const struct mega_node *map, double step)
{
    double value;
    log->step = fmax(log->step, step);
    if (number(mega_node_find(map, "epoch"), &value)) log->epoch = fmax(log->epoch, value);
    if (number(mega_node_find(map, "seconds"), &value)) log->seconds += value;
    if (number(mega_node_find(map, "tokens"), &value)) log->tokens += value;
}

static mega_status add_numbers(
    struct mega_run_log *log, const struct mega_node *map, const char *split, double step)
{
    for (const struct mega_node *node = map->first; node; node = node->next) {
        double value;
        if (!bookkeeping(node->key) && number(node, &value))
            MEGA_TRY(add_point(log, split, node->key, step, value));
    }
    return MEGA_OK;
}

static int length_of(const struct mega_node *list)
{
    int n = 0;
    for (const struct mega_node *node = list->first; node; node = node->next) n++;
    return n;
}

/* a square of numbers replaces the one before; anything else is left aside */
static mega_status take_confusion(
    struct mega_run_log *log, const struct mega_node *rows, const char *split, double step)
{
    if (!rows || rows->kind != MEGA_NODE_LIST) return MEGA_OK;
    int classes = length_of(rows), i = 0;
    if (classes == 0 || classes > 1000) return MEGA_OK;
    double *cell = calloc((size_t)classes * (size_t)classes, sizeof *cell);
    if (!cell) return no_memory();
    for (const struct mega_node *row = rows->first; row; row = row->next) {
        bool square = row->kind == MEGA_NODE_LIST && length_of(row) == classes;
        for (const struct mega_node *node = square ? row->first : NULL; node; node = node->next)
            square = number(node, &cell[i++]) && square;
        if (!square) {
            free(cell);
            return MEGA_OK;
        }
    }
    free(log->confusion.cell);
    log->confusion = (struct mega_confusion){ .classes = classes, .cell = cell, .step = step };
    snprintf(log->confusion.split, sizeof log->confusion.split, "%s", split);
    return MEGA_OK;
}

static mega_status add_note(struct mega_run_log *log, const struct mega_node *map, double step)
{
    struct mega_log_note *more =
        realloc(log->note, ((size_t)log->n_notes + 1) * sizeof *log->note);
    if (!more) return no_memory();
    log->note = more;
    char *text = strdup(text_of(map, "text", text_of(map, "message", "")));
    if (!text) return no_memory();
    log->note[log->n_notes++] = (struct mega_log_note){ step, text };
    return MEGA_OK;
}

static mega_status take_line(struct mega_run_log *log, const struct mega_node *map, bool *whole)
{
    double step = NAN;
    number(mega_node_find(map, "step"), &step);
    const char *kind = text_of(map, "kind", "");
    bool train = !strcmp(kind, "train");
    if (!strcmp(kind, "note")) return add_note(log, map, step);
    if (!train && strcmp(kind, "valid")) return MEGA_OK;
    if (!(step >= 0 && step < 1e15)) {
        *whole = false;
        return MEGA_OK;
    }
    const char *split = train ? "train" : text_of(map, "split", "valid");
    if (train) take_progress(log, map, step);
    MEGA_TRY(add_numbers(log, map, split, step));
    return take_confusion(log, mega_node_find(map, "confusion"), split, step);
}

static mega_status read_line(struct mega_run_log *log, const char *line, size_t n)
{
    struct mega_document d;
    mega_status status = mega_json_parse(&d, "log.jsonl", line, n);
    if (status == MEGA_NO_MEMORY) return status;
    bool whole = !status;
    if (whole) {
        status = take_line(log, d.root, &whole);
        mega_document_done(&d);
        if (status) return status;
    }
    if (!whole && log->broken++ == 0) log->first_broken = log->lines;
    return MEGA_OK;
}

mega_status mega_run_log_read(struct mega_run_log *log, const char *path)
{
    *log = (struct mega_run_log){ .step = NAN, .epoch = NAN };
    struct mega_map file;
    MEGA_TRY(mega_map_open(&file, path));
    const char *bytes = (const char *)file.data;
    mega_status status = MEGA_OK;
    for (size_t at = 0, next; !status && at < file.size; at = next + 1) {
        const char *stop = memchr(bytes + at, '\n', file.size - at);
        next = stop ? (size_t)(stop - bytes) : file.size;
        log->lines++;
        if (next > at) status = read_line(log, bytes + at, next - at);
    }
    mega_map_close(&file);
    return status;
}

void mega_run_log_done(struct mega_run_log *log)
{
    for (int i = 0; i < log->n_curves; i++) free(log->curve[i].at);
    for (int i = 0; i < log->n_notes; i++) free(log->note[i].text);
    free(log->curve);
    free(log->note);
    free(log->confusion.cell);
    *log = (struct mega_run_log){ 0 };
}
