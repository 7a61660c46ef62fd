#include "study/head_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "train/report_html.h"

static const char style[] =
    ".heads td,.heads th{padding:5px 7px;text-align:center;min-width:52px;"
    "border:1px solid var(--card);font-variant-numeric:tabular-nums}\n"
    ".heads .strong{color:#fff}\n.heads .gone{color:var(--soft)}\n"
    ".heads .position{background:#7b4fb3;color:#fff}\n.heads "
    ".rare{background:#e08a2e;color:#fff}\n"
    ".key{display:flex;gap:10px;align-items:center;font-size:12.5px;color:var(--soft);margin:"
    "6px 0}\n"
    ".key span{display:inline-block;width:120px;height:10px;background:linear-gradient(90deg,"
    "rgba(var(--heat),0),rgba(var(--heat),1));border:1px solid var(--line)}\n"
    ".moments{display:flex;flex-wrap:wrap;gap:12px}\n.moments figure{padding:8px 10px}\n"
    ".moments td{width:13px;height:13px;padding:0;border:1px solid var(--line)}\n"
    ".maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:8px}\n"
    ".maps figure{padding:6px;cursor:zoom-in}\n.maps "
    "figure:focus{grid-column:1/-1;cursor:default}\n"
    ".maps figcaption{font-size:12px;font-weight:500}\n.maps svg{border:1px solid "
    "var(--line)}\n"
    ".maps path{fill:rgb(var(--heat))}\n.tokens{overflow-wrap:anywhere}\n";

/* ---- matrices ---- */

static void range(const struct mega_head_table *t, double *least, double *most)
{
    *least = INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < t->layers * t->heads; i++)
        if (isfinite(t->value[i])) {
            *least = fmin(*least, t->value[i]);
            *most = fmax(*most, t->value[i]);
        }
}

static void head_row(struct mega_text *to, int64_t heads)
{
    mega_text_add(to, "<tr><th>layer \xe2\x86\x93 head \xe2\x86\x92</th>");
    for (int64_t h = 0; h < heads; h++) mega_text_add(to, "<th>%lld</th>", (long long)h);
    mega_text_add(to, "</tr>\n");
}

void mega_head_report_matrix(
    struct mega_text *to, const struct mega_head_table *t, const char *title, const char *note)
{
    double least, most;
    char number[32], low[32], high[32];
    range(t, &least, &most);
    mega_text_add(to, "<section class='card'><h3>");
    mega_html_add(to, title);
    mega_text_add(to, "</h3><p><small>");
    mega_html_add(to, note);
    mega_text_add(to, "</small></p><div class='scroll'><table class='heads'>\n");
    head_row(to, t->heads);
    for (int64_t l = 0; l < t->layers; l++) {
        mega_text_add(to, "<tr><th>%lld</th>", (long long)l);
        for (int64_t h = 0; h < t->heads; h++) {
            double v = *mega_head_at(t, l, h),
                   share = most > least ? (v - least) / (most - least) : 0;
            if (!isfinite(v)) {
                mega_text_add(to, "<td class='gone' title='removed'>\xe2\x80\x93</td>");
                continue;
            }
            mega_html_value(v, number);
            mega_text_add(to,
                "<td%s title='layer %lld, head %lld: %.9g' "
                "style='background:rgba(var(--heat),%.3f)'>%s</td>",
                share > 0.55 ? " class='strong'" : "", (long long)l, (long long)h, v, share,
                number);
        }
        mega_text_add(to, "</tr>\n");
    }
    mega_text_add(to, "</table></div>");
    if (isfinite(least)) {
        mega_html_value(least, low);
        mega_html_value(most, high);
        mega_text_add(to, "<div class='key'>%s<span></span>%s</div>", low, high);
    }
    mega_text_add(to, "</section>\n");
}

/* what each head does, in a word */
static void add_functions(struct mega_text *to, const struct mega_head_functions *f)
{
    const struct mega_head_table *t = &f->confidence;
    mega_text_add(to, "<section class='card'><h3>Functions</h3><p><small>An offset: at least "
                      "90 %% of the queries "
                      "look most to that place (positional). r: most often to the rarest token "
                      "of a text. Else "
                      "the mean of the largest weight.</small></p><div class='scroll'><table "
                      "class='heads'>\n");
    head_row(to, t->heads);
    for (int64_t i = 0; i < t->layers * t->heads; i++) {
        if (i % t->heads == 0)
            mega_text_add(
                to, "%s<tr><th>%lld</th>", i ? "</tr>\n" : "", (long long)(i / t->heads));
        double share = f->position.value[i], where = f->where.value[i];
        if (!isfinite(t->value[i]))
            mega_text_add(to, "<td class='gone'>\xe2\x80\x93</td>");
        else if (mega_head_is_positional(share))
            mega_text_add(
                to, "<td class='position' title='%.1f %%'>%+.0f</td>", 100 * share, where);
        else if (f->rarest.value[i] > 0.5)
            mega_text_add(
                to, "<td class='rare' title='%.1f %%'>r</td>", 100 * f->rarest.value[i]);
        else
            mega_text_add(to, "<td title='offset %+.0f: %.1f %%'>%.2f</td>", where, 100 * share,
                t->value[i]);
    }
    mega_text_add(to, "</tr>\n</table></div></section>\n");
}

/* ---- gates over training ---- */

static void add_moment(struct mega_text *to, const struct mega_gate_moment *m)
{
    int64_t closed = 0, all = 0;
    for (int64_t i = 0; i < m->gate.layers * m->gate.heads; i++) {
        all += isfinite(m->gate.value[i]);
        closed += isfinite(m->gate.value[i]) && m->gate.value[i] <= 0;
    }
    mega_text_add(to,
        "<figure><figcaption>update %.0f <i>%lld of %lld open</i></figcaption><table>", m->step,
        (long long)(all - closed), (long long)all);
    for (int64_t l = 0; l < m->gate.layers; l++) {
        mega_text_add(to, "<tr>");
        for (int64_t h = 0; h < m->gate.heads; h++) {
            double g = *mega_head_at(&m->gate, l, h);
            if (isfinite(g))
                mega_text_add(to,
                    "<td title='layer %lld, head %lld: %.4f' "
                    "style='background:rgba(var(--heat),%.3f)'></td>",
                    (long long)l, (long long)h, g,
                    g < 0   ? 0
                    : g > 1 ? 1
                            : g);
            else
                mega_text_add(to, "<td class='gone'></td>");
        }
        mega_text_add(to, "</tr>");
    }
    mega_text_add(to, "</table></figure>\n");
}

/* at which validation a head was closed for the first time of those that it stayed closed */
static void add_closings(struct mega_text *to, const struct mega_gate_history *h)
{
    const struct mega_head_table *t = &h->moment[0].gate;
    mega_text_add(to, "<p><small>Closed for good, by validation: ");
    const char *gap = "";
    for (int64_t i = 0; i < t->layers * t->heads; i++) {
        int64_t from = h->n;
        while (from > 0 && h->moment[from - 1].gate.value[i] <= 0) from--;
        if (from == h->n) continue;
        mega_text_add(to, "%slayer %lld head %lld at update %.0f", gap,
            (long long)(i / t->heads), (long long)(i % t->heads), h->moment[from].step);
        gap = ", ";
    }
    mega_text_add(to, "%s.</small></p>\n", *gap ? "" : "none");
}

static void add_history(struct mega_text *to, const struct mega_gate_history *h)
{
    enum { SHOWN = 24 };
    if (!h || !h->n) return;
    mega_text_add(to, "<h2>What closed when</h2>\n");
    add_closings(to, h);
    mega_text_add(to, "<section class='moments'>\n");
    int64_t shown = h->n < SHOWN ? h->n : SHOWN;
    for (int64_t i = 0; i < shown; i++)
        add_moment(to, &h->moment[shown > 1 ? i * (h->n - 1) / (shown - 1) : 0]);
    mega_text_add(to, "</section>\n");
}

/* ---- the page ---- */

static void tile(struct mega_text *to, const char *title, const char *value)
{
    mega_text_add(to, "<div><h3>%s</h3><b>%s</b></div>", title, value);
}

static void add_tiles(struct mega_text *to, const struct mega_head_report *r)
{
    char text[64];
    const struct mega_head_table *t = r->table[0];
    int64_t left = mega_head_table_count(t), first = 0;
    struct mega_model_heads h;
    if (!mega_model_heads_find(&h, r->model)) {
        for (int64_t l = 0; l < h.layers; l++) first += h.layer[l].attention->options.heads;
        mega_model_heads_done(&h);
    }
    mega_text_add(to, "<section class='tiles'>");
    snprintf(text, sizeof text, "%lld of %lld", (long long)left, (long long)first);
    tile(to, "Heads left", text);
    mega_html_count(mega_model_parameters(r->model), text);
    tile(to, "Parameters", text);
    mega_html_value(r->loss, text);
    tile(to, "Loss on the data", text);
    if (r->model->config.architecture == MEGA_LANGUAGE_MODEL) {
        mega_html_value(exp(r->loss), text);
        tile(to, "Perplexity", text);
    }
    mega_text_add(to, "</section>\n");
}

static void write_page(struct mega_text *to, const struct mega_head_report *r)
{
    mega_text_add(to, "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n"
                      "<meta name='viewport' content='width=device-width'>\n<title>");
    mega_html_add(to, r->name);
    mega_text_add(to,
        " \xe2\x80\x93 mega heads report</title>\n<style>\n%s%s</style>\n<main>\n<header>"
        "<p>mega heads report</p><h1>",
        mega_html_style, style);
    mega_html_add(to, r->name);
    mega_text_add(to, "</h1></header>\n");
    add_tiles(to, r);
    mega_text_add(to,
        "<p><small>Layers and heads count from 0, heads by the numbers of the model "
        "that was first trained.</small></p>\n<h2>Importance</h2>\n");
    for (int i = 0; i < r->n_tables; i++)
        mega_head_report_matrix(to, r->table[i], r->title[i],
            i ? ""
              : "Absolute derivative of a text's loss by a factor of the head's output, over "
                "the tokens that count.");
    if (r->functions) {
        mega_text_add(to, "<h2>What heads do</h2>\n");
        add_functions(to, r->functions);
        mega_head_report_matrix(to, &r->functions->confidence, "Confidence",
            "Mean of a query's largest weight, the end token left out.");
        mega_head_report_matrix(
            to, &r->functions->entropy, "Entropy", "Of a query's weights, in nats.");
        mega_head_report_matrix(
            to, &r->functions->distance, "Distance", "Mean distance to what is looked at.");
    }
    add_history(to, r->history);
    if (r->n_texts) mega_text_add(to, "<h2>Attention maps</h2>\n");
    for (int64_t i = 0; i < r->n_texts; i++) mega_head_report_maps(to, &r->text[i], i);
    mega_text_add(to, "</main>\n</html>\n");
}

mega_status mega_head_report_write(const struct mega_head_report *r, const char *path)
{
    struct mega_text page = { 0 };
    write_page(&page, r);
    mega_status status = page.failed
                             ? mega_fail(MEGA_NO_MEMORY, "report: no memory for the page")
                             : mega_file_write(path, page.data, page.size);
    mega_text_done(&page);
    return status;
}
