/* Gates: what they are like now, what closed when, what the noise does to one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "study/head_report.h"
#include "train/report_chart.h"

/* ---- over training ---- */

static void count(const struct mega_gate_moment *m, int64_t layer, int64_t *open, int64_t *all)
{
    const struct mega_head_table *t = &m->gate;
    int64_t from = layer < 0 ? 0 : layer * t->heads,
            to = layer < 0 ? t->layers * t->heads : from + t->heads;
    *open = *all = 0;
    for (int64_t i = from; i < to; i++) {
        *all += isfinite(t->value[i]);
        *open += isfinite(t->value[i]) && t->value[i] > 0;
    }
}

static void add_moment(struct mega_text *to, const struct mega_gate_moment *m)
{
    int64_t open, all;
    count(m, -1, &open, &all);
    mega_text_add(to,
        "<figure><figcaption>update %.0f <i>%lld of %lld open</i></figcaption><table "
        "style='--dot:%s'>",
        m->step, (long long)open, (long long)all, m->gate.heads > 16 ? "7px" : "13px");
    for (int64_t l = 0; l < m->gate.layers; l++) {
        mega_text_add(to, "<tr>");
        for (int64_t h = 0; h < m->gate.heads; h++) {
            double g = *mega_head_at(&m->gate, l, h);
            if (isfinite(g))
                mega_text_add(to,
                    "<td title='layer %lld, head %lld: %.4f' style='--s:%.3f'></td>",
                    (long long)l, (long long)h, g, fmin(fmax(g, 0), 1));
            else
                mega_text_add(to, "<td class='gone'></td>");
        }
        mega_text_add(to, "</tr>");
    }
    mega_text_add(to, "</table></figure>\n");
}

/* one curve a group of layers: how many of their gates are open */
static void add_depths(struct mega_text *to, const struct mega_gate_history *h)
{
    enum { MOST = MEGA_CHART_COLOURS };
    struct mega_curve curve[MOST];
    struct mega_chart_line line[MOST];
    char label[MOST][48];
    int64_t layers = h->moment[0].gate.layers, each = (layers + MOST - 1) / MOST;
    int n = 0;
    bool room = true;
    for (int64_t from = 0; from < layers && room; from += each, n++) {
        int64_t to_layer = from + each < layers ? from + each : layers;
        curve[n] = (struct mega_curve){ .n = (int)h->n };
        curve[n].at = calloc((size_t)h->n, sizeof *curve[n].at);
        room = curve[n].at;
        for (int64_t i = 0; i < h->n && room; i++) {
            curve[n].at[i].step = h->moment[i].step;
            for (int64_t l = from; l < to_layer; l++) {
                int64_t open, all;
                count(&h->moment[i], l, &open, &all);
                curve[n].at[i].value += (double)open;
            }
        }
        if (each == 1)
            snprintf(label[n], sizeof label[n], "layer %lld", (long long)from);
        else
            snprintf(label[n], sizeof label[n], "layers %lld\xe2\x80\x93%lld", (long long)from,
                (long long)to_layer - 1);
        line[n] = (struct mega_chart_line){ label[n], n, true, &curve[n] };
    }
    struct mega_chart chart = { .quantity = { "open", "Heads that are not closed, by depth", "",
                                    1, false, false },
        .x = "update",
        .line = line,
        .n_lines = n };
    if (room) mega_chart_add(to, &chart);
    while (n-- > 0) free(curve[n].at);
}

/* curves of a run's log that tell of gates, and its loss; false: it tells of none */
static bool add_curves(struct mega_text *to, const struct mega_run_log *log)
{
    static const char *const known[] = { "expected_heads", "active_heads", "partial_heads",
        "expected_groups", "active_groups", "expected_channel_blocks", "active_channel_blocks",
        "expected_cost", "active_cost", "penalty", "loss" };
    if (!mega_run_log_find(log, "train", "penalty")) return false;
    for (size_t i = 0; to && i < sizeof known / sizeof *known; i++) {
        const struct mega_curve *train = mega_run_log_find(log, "train", known[i]),
                                *valid = mega_run_log_find(log, "valid", known[i]);
        struct mega_chart_line line[2];
        int n = 0;
        if (train) line[n++] = (struct mega_chart_line){ "train", 0, false, train };
        if (valid) line[n++] = (struct mega_chart_line){ "valid", 1, true, valid };
        struct mega_chart chart = {
            .quantity = mega_quantity_find(known[i]), .x = "update", .line = line, .n_lines = n
        };
        if (n) mega_chart_add(to, &chart);
    }
    return true;
}

/* the update from which on a head stayed closed */
static void add_closings(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_gate_history *h)
{
    struct mega_head_table when = h->moment[h->n - 1].gate;
    int64_t n = when.layers * when.heads, closed = 0;
    double *value = malloc((size_t)(n + 1) * sizeof *value);
    for (int64_t i = 0; value && i < n; i++) {
        int64_t at = mega_gate_history_closed(h, i);
        value[i] = at < 0 ? NAN : h->moment[at].step;
        closed += at >= 0;
    }
    when.value = value;
    struct mega_report_table t = { "closed_at", "Closed for good", "update",
        "By validation, the first from which on a head stayed closed; a dash: it is open, or "
        "was not there.",
        &when, false, false };
    if (value && closed)
        mega_head_report_matrix(to, r, &t);
    else
        mega_text_add(to, "<section class='card'><h3>Closed for good</h3><p>No head stayed "
                          "closed.</p></section>\n");
    free(value);
}

static void add_history(struct mega_text *to, const struct mega_head_report *r)
{
    enum { SHOWN = 24 };
    const struct mega_gate_history *h = r->history;
    bool curves = r->log && add_curves(NULL, r->log);
    if (!h->n && !curves) return;
    mega_text_add(to, "<section><h2>What closed when</h2>\n");
    if (h->n) {
        add_closings(to, r, h);
        mega_text_add(to,
            "<p><small>Gates of evaluation at %s validations: a row a layer from 0 on, a "
            "column "
            "a head; the stronger the colour the more open, none is closed.</small></p><div "
            "class='moments'>\n",
            h->n > SHOWN ? "some of the" : "the");
        int64_t shown = h->n < SHOWN ? h->n : SHOWN;
        for (int64_t i = 0; i < shown; i++)
            add_moment(to, &h->moment[shown > 1 ? i * (h->n - 1) / (shown - 1) : 0]);
        mega_text_add(to, "</div>\n");
    }
    mega_text_add(to, "<div class='charts'>\n");
    if (h->n) add_depths(to, h);
    if (curves) add_curves(to, r->log);
    mega_text_add(to, "</div></section>\n");
}

/* ---- one gate ---- */

static void add_row(struct mega_text *to, const char *what, const char *class)
{
    mega_text_add(to,
        "<tr><td>%s</td><td class='number'><output class='%s'></output></td></tr>", what,
        class);
}

static void add_density(struct mega_text *to, const struct mega_hard_concrete *h)
{
    mega_text_add(to,
        "<section class='card'><h3>What the noise makes of a gate</h3><p><small>Density of the "
        "gate in training (Hard Concrete, stretched from %g to %g); discs: the chance that it "
        "is exactly 0, or 1. Evaluation has no noise.</small></p><div class='density' "
        "data-low='%g' data-high='%g'><svg viewBox='0 0 320 190' role='img' "
        "aria-label='density "
        "of a gate'><path class='base' d='M40 150H280M40 150V30'/><circle class='at-0 f0' "
        "cx='40' cy='150' opacity='.55' r='0'/><circle class='at-1 f0' cx='280' cy='150' "
        "opacity='.55' r='0'/><path class='line curve s0' d=''/><text x='40' y='186' "
        "text-anchor='middle'>0</text><text x='160' y='186' "
        "text-anchor='middle'>gate</text><text x='280' y='186' "
        "text-anchor='middle'>1</text><text class='top' x='32' y='34' "
        "text-anchor='end'></text></svg><div>",
        h->low, h->high, h->low, h->high);
    mega_text_add(to,
        "<label>log_a <output class='said-a'></output><input class='log-a' type='range' "
        "min='-5' max='5' step='.01' value='0'></label><label>temperature <output "
        "class='said-heat'></output><input class='heat' type='range' min='.01' max='3' "
        "step='.01' value='%.2f'></label><table>",
        h->temperature);
    add_row(to, "chance that it is closed", "shut");
    add_row(to, "chance that it is fully open", "full");
    add_row(to, "chance of what is between", "between");
    add_row(to, "gate of evaluation", "gate");
    mega_text_add(to, "</table></div></div><noscript>Without its script the page does not draw "
                      "this.</noscript></section>\n");
}

void mega_head_report_gates(struct mega_text *to, const struct mega_head_report *r)
{
    struct mega_model_heads h;
    add_history(to, r);
    if (mega_model_heads_find(&h, r->model)) return;
    const struct mega_head_gates *g = &h.layer[0].attention->gates;
    for (int64_t l = 1; l < h.layers && !g->log_a; l++) g = &h.layer[l].attention->gates;
    if (g->log_a) {
        mega_text_add(to, "<section><h2>A gate</h2>\n");
        add_density(to, &g->options.concrete);
        mega_text_add(to, "</section>\n");
    }
    mega_model_heads_done(&h);
}
