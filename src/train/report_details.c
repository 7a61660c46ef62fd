#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_html.h"
#include "train/report_sections.h"
#include "train/report_tree.h"

enum { NUMBERED = 30, DRAWN = 100 }; /* classes of a confusion matrix with numbers; at all */

static void begin(struct mega_text *to, const char *title, const char *aside, bool open)
{
    mega_text_add(to, "<details class='card'%s><summary>", open ? " open" : "");
    mega_html_add(to, title);
    if (*aside) {
        mega_text_add(to, " <small>");
        mega_html_add(to, aside);
        mega_text_add(to, "</small>");
    }
    mega_text_add(to, "</summary>\n<div class='scroll'>");
}

static void end(struct mega_text *to)
{
    mega_text_add(to, "</div></details>\n");
}

/* a cell's tint is its share of the row: of all that truly are this class */
static void add_confusion_row(struct mega_text *to, const struct mega_confusion *m, int truth)
{
    const double *row = &m->cell[truth * m->classes];
    double sum = 0;
    char word[32];
    for (int i = 0; i < m->classes; i++) sum += row[i];
    mega_text_add(to, "<tr><th>%d</th>", truth);
    for (int i = 0; i < m->classes; i++) {
        double share = sum > 0 && isfinite(row[i] / sum) ? row[i] / sum : 0;
        mega_text_add(to,
            "<td class='%s%s' style='background:rgba(var(--heat),%.2f)' title='%.4g of %.4g'>",
            share > 0.55 ? "strong" : "", i == truth ? " right" : "", share, row[i], sum);
        mega_html_value(row[i], word);
        if (m->classes <= NUMBERED && row[i] != 0) mega_html_add(to, word);
        mega_text_add(to, "</td>");
    }
    if (sum > 0)
        mega_text_add(to, "<td class='share'>%.1f %%</td></tr>\n", 100 * row[truth] / sum);
    else
        mega_text_add(to, "<td class='share'>none</td></tr>\n");
}

static void add_confusion(struct mega_text *to, const struct mega_confusion *m, bool open)
{
    if (m->classes == 0) return;
    char aside[96];
    snprintf(aside, sizeof aside,
        "%s, step %.0f: rows are the true classes, columns the predicted", m->split, m->step);
    begin(to, "Confusion matrix", aside, open);
    if (m->classes > DRAWN) {
        mega_text_add(to, "<p class='absent'>%d classes are too many to show.</p>", m->classes);
        end(to);
        return;
    }
    mega_text_add(to, "<table class='confusion%s'>\n<tr><th></th>",
        m->classes > NUMBERED ? " dense" : "");
    for (int i = 0; i < m->classes; i++) mega_text_add(to, "<th>%d</th>", i);
    mega_text_add(to, "<th class='share'>found</th></tr>\n");
    for (int truth = 0; truth < m->classes; truth++) add_confusion_row(to, m, truth);
    mega_text_add(to, "</table>");
    end(to);
}

/* the recipe line by line, keys and comments set apart */
static void add_recipe(struct mega_text *to, const struct mega_text *recipe, bool open)
{
    if (!recipe->size) return;
    begin(to, "Recipe", "", open);
    mega_text_add(to, "<pre>");
    for (size_t at = 0, stop; at < recipe->size; at = stop) {
        const char *line = recipe->data + at, *newline = memchr(line, '\n', recipe->size - at);
        stop = newline ? (size_t)(newline - recipe->data) + 1 : recipe->size;
        size_t n = stop - at, blank = strspn(line, " -"), key = 0;
        while (blank + key < n && !strchr(": \n#", line[blank + key])) key++;
        bool comment = blank < n && line[blank] == '#';
        bool keyed = key > 0 && blank + key < n && line[blank + key] == ':';
        size_t split = comment ? n : keyed ? blank + key : 0;
        if (split) mega_text_add(to, comment ? "<i>" : "<b>");
        mega_html_add_bytes(to, line, split);
        if (split) mega_text_add(to, comment ? "</i>" : "</b>");
        mega_html_add_bytes(to, line + split, n - split);
    }
    mega_text_add(to, "</pre>");
    end(to);
}

static void add_parameter(struct mega_text *to, const struct mega_st_tensor *t, int64_t total)
{
    char count[32];
    mega_html_count(t->count, count);
    mega_text_add(to, "<tr><td><code>");
    mega_html_add(to, t->name);
    mega_text_add(to, "</code></td><td class='number'>");
    for (int i = 0; i < t->rank; i++)
        mega_text_add(to, "%s%lld", i ? " \xc3\x97 " : "", (long long)t->dim[i]);
    if (t->rank == 0) mega_text_add(to, "scalar");
    double share = total ? 100 * (double)t->count / (double)total : 0;
    mega_text_add(to,
        "</td><td>%s</td><td class='number'>%s</td>"
        "<td class='bar'><span style='width:%.1f%%'></span></td></tr>\n",
        t->dtype, count, share);
}

static void add_parameters(struct mega_text *to, const struct mega_report_run *run, bool open)
{
    int64_t total = 0;
    char count[32], aside[400];
    for (int i = 0; i < run->model.n; i++) total += run->model.tensor[i].count;
    if (!run->model.n) return;
    mega_html_count(total, count);
    snprintf(aside, sizeof aside, "%s values in %d tensors, from %s", count, run->model.n,
        run->model_path);
    begin(to, "Parameters", aside, open);
    mega_text_add(to,
        "<table class='parameters'>\n<tr><th>Name</th><th class='number'>Shape</th>"
        "<th>Type</th><th class='number'>Values</th><th>Share</th></tr>\n");
    for (int i = 0; i < run->model.n; i++) add_parameter(to, &run->model.tensor[i], total);
    mega_text_add(to, "</table>");
    end(to);
}

static void add_manifest_row(void *arg, const char *path, const struct mega_node *node)
{
    struct mega_text *to = arg, value = { 0 };
    mega_tree_print(node, &value);
    mega_text_add(to, "<tr><td><code>");
    mega_html_add(to, path);
    mega_text_add(to, "</code></td><td>");
    mega_html_add_bytes(to, value.data, value.size);
    mega_text_add(to, "</td></tr>\n");
    mega_text_done(&value);
}

static void add_manifest(struct mega_text *to, const struct mega_report_run *run, bool open)
{
    if (!run->manifest.root) return;
    begin(to, "Manifest", "versions, machine, seeds, data", open);
    mega_text_add(to, "<table>\n");
    mega_tree_walk(run->manifest.root, add_manifest_row, to);
    mega_text_add(to, "</table>");
    end(to);
}

static void add_notes(struct mega_text *to, const struct mega_run_log *log, bool open)
{
    if (!log->n_notes) return;
    begin(to, "Notes of the run", "", open);
    mega_text_add(to, "<table class='notes'>\n");
    for (int i = 0; i < log->n_notes; i++) {
        mega_text_add(to, "<tr><td class='number'>");
        if (isfinite(log->note[i].step)) mega_text_add(to, "step %.0f", log->note[i].step);
        mega_text_add(to, "</td><td>");
        mega_html_add(to, log->note[i].text);
        mega_text_add(to, "</td></tr>\n");
    }
    mega_text_add(to, "</table>");
    end(to);
}

static void add_missing(struct mega_text *to, const struct mega_text *missing)
{
    if (!missing->size) return;
    begin(to, "Absent or broken", "", true);
    mega_text_add(to, "<pre class='absent'>");
    mega_html_add_bytes(to, missing->data, missing->size);
    mega_text_add(to, "</pre>");
    end(to);
}

void mega_report_details(struct mega_text *to, const struct mega_report_run *run, bool open)
{
    add_missing(to, &run->missing);
    add_confusion(to, &run->log.confusion, true);
    add_notes(to, &run->log, open);
    add_recipe(to, &run->recipe, open);
    add_parameters(to, run, open);
    add_manifest(to, run, false);
}
