#include "study/head_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/report_html.h"

void mega_head_report_add(struct mega_head_report *r, struct mega_report_table t)
{
    if (r->n_tables < MEGA_REPORT_TABLES) r->table[r->n_tables++] = t;
}

/* the places of heads in their layers, the largest first */
static bool rank(struct mega_head_report *r)
{
    const struct mega_head_table *t = r->table[0].table;
    int64_t n = t->layers * t->heads;
    r->rank = malloc((size_t)(n + 1) * sizeof *r->rank);
    for (int64_t i = 0; r->rank && i < n; i++) {
        r->rank[i] = isnan(t->value[i]) ? -1 : 0;
        for (int64_t k = i / t->heads * t->heads; k < (i / t->heads + 1) * t->heads; k++)
            if (r->rank[i] >= 0 && !isnan(t->value[k]) &&
                (t->value[k] > t->value[i] || (!(t->value[k] < t->value[i]) && k < i)))
                r->rank[i]++;
    }
    return r->rank;
}

/* ---- the page ---- */

static void tile(struct mega_text *to, const char *title, const char *value, const char *unit)
{
    mega_text_add(to, "<div><h3>%s</h3><b>%s</b><small>%s</small></div>", title, value, unit);
}

static void add_tiles(struct mega_text *to, const struct mega_head_report *r)
{
    char text[64], places[64];
    const struct mega_head_table *t = r->table[0].table;
    int64_t left = mega_head_table_count(t), first = 0;
    struct mega_model_heads h;
    if (!mega_model_heads_find(&h, r->model)) {
        for (int64_t l = 0; l < h.layers; l++) first += h.layer[l].attention->options.heads;
        mega_model_heads_done(&h);
    }
    mega_text_add(to, "<section class='tiles'>");
    snprintf(text, sizeof text, "%lld of %lld", (long long)left, (long long)first);
    tile(to, "Heads", text, left < first ? "the rest was removed" : "in all layers");
    snprintf(text, sizeof text, "%lld", (long long)t->layers);
    snprintf(places, sizeof places, "of up to %lld heads", (long long)t->heads);
    tile(to, "Layers", text, places);
    mega_html_count(mega_model_parameters(r->model), text);
    tile(to, "Parameters", text, "");
    mega_html_value(r->loss, text);
    enum mega_architecture kind = r->model->config.architecture;
    static const char *const units[] = { [MEGA_CLASSIFIER] = "nats a text",
        [MEGA_LANGUAGE_MODEL] = "nats a token",
        [MEGA_MASKED_MODEL] = "nats a hidden token" };
    tile(to, "Loss on the data", text, units[kind]);
    if (kind == MEGA_LANGUAGE_MODEL) {
        mega_html_value(exp(r->loss), text);
        tile(to, "Perplexity", text, "");
    }
    mega_html_count(r->texts, text);
    mega_html_count(r->places, places);
    snprintf(places + strlen(places), sizeof places - strlen(places), " places");
    tile(to, "Texts looked at", text, places);
    mega_text_add(to, "</section>\n");
}

static void add_matrices(
    struct mega_text *to, const struct mega_head_report *r, int from, int n)
{
    int64_t heads = r->table[0].table->heads;
    int least = heads <= 4 ? 300 : heads <= 8 || (heads > 12 && heads <= 32) ? 520 : 1000;
    mega_text_add(to, "<div class='matrices' style='--least:%dpx'>\n", least);
    for (int i = from; i < n; i++)
        if (!r->table[i].hidden) mega_head_report_matrix(to, r, &r->table[i]);
    mega_text_add(to, "</div>\n");
}

/* the two orders that a row of heads can have; their boxes stand before all that they order */
static void add_order(struct mega_text *to, const struct mega_head_report *r)
{
    mega_text_add(to,
        "<input type='radio' name='order' id='by-number' checked><input type='radio' "
        "name='order' id='by-rank'>\n<p class='order'>Heads of a layer: <label "
        "for='by-number'>by number</label><label for='by-rank'>by importance (");
    mega_html_add(to, r->table[0].title);
    mega_text_add(to, ")</label></p>\n");
}

static void add_head(struct mega_text *to, const struct mega_head_report *r)
{
    mega_text_add(to,
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n<meta "
        "http-equiv='Content-Security-Policy' content=\"default-src 'none';style-src "
        "'unsafe-inline';script-src 'unsafe-inline'\">\n<meta name='viewport' "
        "content='width=device-width,initial-scale=1'>\n<title>");
    mega_html_add(to, r->name);
    mega_text_add(to,
        " \xe2\x80\x93 mega heads report</title>\n<style>\n%s%s</style>\n<main>\n<header>"
        "<p>mega heads report</p><h1>",
        mega_html_style, mega_head_report_style);
    mega_html_add(to, r->name);
    mega_text_add(to, "</h1></header>\n");
}

static void write_page(struct mega_text *to, const struct mega_head_report *r)
{
    add_head(to, r);
    add_order(to, r);
    add_tiles(to, r);
    mega_text_add(to, "<section><p><small>Layers and heads count from 0, as in every command; "
                      "heads keep the numbers of the model that was first trained. Data: ");
    mega_html_add(to, r->data);
    mega_text_add(to, ".</small></p>\n<h2>Importance</h2>\n");
    add_matrices(to, r, 0, r->n_importance);
    mega_head_report_extremes(to, r);
    mega_text_add(to, "</section>\n");
    if (r->functions) {
        mega_text_add(to, "<section><h2>What heads do</h2>\n");
        mega_head_report_roles(to, r);
        add_matrices(to, r, r->n_importance, r->n_tables);
        mega_text_add(to, "</section>\n");
    }
    mega_head_report_removal(to, r);
    mega_head_report_gates(to, r);
    if (r->n_texts) mega_text_add(to, "<section><h2>Attention maps</h2></section>\n");
    for (int64_t i = 0; i < r->n_texts; i++) mega_head_report_maps(to, r, i);
    mega_text_add(to, "</main>\n<script>\n%s</script>\n</html>\n", mega_head_report_script);
}

mega_status mega_head_report_write(struct mega_head_report *r, const char *path)
{
    struct mega_text page = { 0 };
    bool ranked = rank(r);
    if (ranked) write_page(&page, r);
    mega_status status = page.failed || !ranked
                             ? mega_fail(MEGA_NO_MEMORY, "report: no memory for the page")
                             : mega_file_write(path, page.data, page.size);
    mega_text_done(&page);
    free(r->rank);
    r->rank = NULL;
    return status;
}
