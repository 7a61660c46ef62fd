#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/report_html.h"
#include "train/report_sections.h"

enum { FIGURES = 24 };

/* one tile or cell */
struct figure {
    char title[96], text[64], note[96];
    double rank; /* higher is better; NaN: not to be compared, or absent */
};

struct figures {
    struct figure item[FIGURES];
    int n;
};

static struct figure *add(struct figures *f, const char *title)
{
    /* the last place is written over rather than beyond */
    struct figure *item = &f->item[f->n < FIGURES ? f->n++ : FIGURES - 1];
    *item = (struct figure){ .rank = NAN };
    snprintf(item->title, sizeof item->title, "%s", title);
    snprintf(item->text, sizeof item->text, "\xe2\x80\x93");
    return item;
}

static const struct mega_point *best_of(const struct mega_curve *c, bool lower)
{
    const struct mega_point *best = NULL;
    for (int i = 0; i < c->n; i++) {
        if (!isfinite(c->at[i].value)) continue;
        bool better =
            !best || (lower ? c->at[i].value < best->value : c->at[i].value > best->value);
        if (better) best = &c->at[i];
    }
    return best;
}

/* the best value on validation data; elsewhere the last one, for choosing the best would be
 * choosing by test data */
static void add_quantity(
    struct figures *f, const struct mega_run_log *log, const char *split, const char *name)
{
    struct mega_quantity q = mega_quantity_find(name);
    char title[96];
    snprintf(title, sizeof title, "%s, %s", q.title, split);
    struct figure *item = add(f, title);
    const struct mega_curve *c = mega_run_log_find(log, split, name);
    if (!c) return;
    bool valid = !strcmp(split, "valid");
    const struct mega_point *at = valid ? best_of(c, q.lower_wins) : &c->at[c->n - 1];
    if (!at) at = &c->at[c->n - 1];
    mega_quantity_print(&q, at->value, item->text);
    snprintf(item->note, sizeof item->note, "%s, step %.0f", valid ? "best" : "last", at->step);
    item->rank = q.lower_wins ? -at->value : at->value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NaN without finite values */
static double median(const struct mega_curve *c)
{
    if (!c) return NAN;
    double *value = malloc((size_t)c->n * sizeof *value), middle = NAN;
    int n = 0;
    for (int i = 0; value && i < c->n; i++)
        if (isfinite(c->at[i].value)) value[n++] = c->at[i].value;
    if (n > 0) {
        qsort(value, (size_t)n, sizeof *value, by_value);
        middle = value[n / 2];
    }
    free(value);
    return middle;
}

static void add_progress(struct figures *f, const struct mega_run_log *log)
{
    struct figure *item = add(f, "Updates");
    if (isfinite(log->step)) mega_html_value(log->step, item->text);
    /* the log counts epochs from 0, people from 1 */
    if (isfinite(log->epoch))
        snprintf(item->note, sizeof item->note, "in epoch %.0f", floor(log->epoch) + 1);
    item = add(f, "Time");
    snprintf(item->note, sizeof item->note, "in updates");
    if (log->seconds > 0) mega_html_duration(log->seconds, item->text);
}

static void add_speed(struct figures *f, const struct mega_run_log *log)
{
    struct figure *item = add(f, "Tokens/s");
    double speed = median(mega_run_log_find(log, "train", "tokens_per_s"));
    double share = median(mega_run_log_find(log, "train", "peak_share"));
    if (isfinite(speed)) mega_html_value(speed, item->text);
    if (isfinite(share))
        snprintf(item->note, sizeof item->note, "median, %.0f %% of peak", 100 * share);
    else if (isfinite(speed))
        snprintf(item->note, sizeof item->note, "median");
    item->rank = speed;
}

static void add_parameters(struct figures *f, const struct mega_safetensors *model)
{
    struct figure *item = add(f, "Parameters");
    int64_t count = 0;
    for (int i = 0; i < model->n; i++) count += model->tensor[i].count;
    if (!model->n) return;
    mega_html_count(count, item->text);
    snprintf(item->note, sizeof item->note, "%d tensors", model->n);
}

/* one column for each quantity that any run measured on held-out data: the losses last */
static void add_held_out(
    struct figures *f, const struct mega_report_run *all, int n, const struct mega_run_log *log)
{
    for (int losses = 0; losses < 2; losses++)
        for (int r = 0; r < n; r++)
            for (int i = 0; i < all[r].log.n_curves; i++) {
                const struct mega_curve *c = &all[r].log.curve[i];
                bool first = true;
                for (int before = 0; before < r; before++)
                    first =
                        first && !mega_run_log_find(&all[before].log, c->split, c->quantity);
                bool loss = !strcmp(c->quantity, "loss");
                if (first && loss == losses && strcmp(c->split, "train"))
                    add_quantity(f, log, c->split, c->quantity);
            }
}

static void figures_of(struct figures *f, const struct mega_report_run *all, int n, int r)
{
    f->n = 0;
    add_held_out(f, all, n, &all[r].log);
    add_quantity(f, &all[r].log, "train", "loss");
    add_progress(f, &all[r].log);
    add_speed(f, &all[r].log);
    add_parameters(f, &all[r].model);
}

static void add_tiles(struct mega_text *to, const struct figures *f)
{
    mega_text_add(to, "<section class='tiles'>\n");
    for (int i = 0; i < f->n; i++) {
        mega_text_add(to, "<div><h3>");
        mega_html_add(to, f->item[i].title);
        mega_text_add(to, "</h3><b>");
        mega_html_add(to, f->item[i].text);
        mega_text_add(to, "</b><small>");
        mega_html_add(to, f->item[i].note);
        mega_text_add(to, "</small></div>\n");
    }
    mega_text_add(to, "</section>\n");
}

static void add_table(
    struct mega_text *to, const struct mega_report_run *run, int n, const struct figures *f)
{
    mega_text_add(to, "<section class='card scroll'><table class='summary'>\n<tr><th>Run</th>");
    for (int i = 0; i < f[0].n; i++) {
        mega_text_add(to, "<th class='number'>");
        mega_html_add(to, f[0].item[i].title);
        mega_text_add(to, "</th>");
    }
    for (int r = 0; r < n; r++) {
        mega_text_add(to,
            "</tr>\n<tr><td><svg width='12' height='12'><circle class='f%d' cx='6' "
            "cy='6' r='5'/></svg> ",
            mega_report_colour(r, n, ""));
        mega_html_add(to, run[r].label);
        for (int i = 0; i < f[r].n; i++) {
            bool best = isfinite(f[r].item[i].rank);
            for (int other = 0; other < n; other++)
                if (f[other].item[i].rank > f[r].item[i].rank) best = false;
            mega_text_add(to, "</td><td class='number%s'>", best ? " best" : "");
            mega_html_add(to, f[r].item[i].text);
            mega_text_add(to, "<small>");
            mega_html_add(to, f[r].item[i].note);
            mega_text_add(to, "</small>");
        }
        mega_text_add(to, "</td>");
    }
    mega_text_add(to, "</tr>\n</table></section>\n");
}

void mega_report_summary(struct mega_text *to, const struct mega_report_run *run, int n)
{
    struct figures *f = calloc((size_t)n, sizeof *f);
    if (!f) {
        to->failed = true;
        return;
    }
    for (int r = 0; r < n; r++) figures_of(&f[r], run, n, r);
    if (n == 1)
        add_tiles(to, f);
    else
        add_table(to, run, n, f);
    free(f);
}
