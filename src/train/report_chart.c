#include "train/report_chart.h"

#include <math.h>
#include <string.h>

#include "train/report_axis.h"

enum {
    LEFT = 56,
    RIGHT = 14,
    TOP = 12,
    BOTTOM = 26,
    BINS = 240,       /* a curve of more points is drawn as so many means, or half as many */
    FEW_LINES = 2,    /* so many bands do not hide each other */
    MOST_MISSING = 40 /* marks for values that are not finite, a curve */
};

/* the points of one range of steps */
struct bin {
    double step, mean, low, high;
    int finite, missing;
};

struct drawing {
    struct mega_text *to;
    const struct mega_chart *chart;
    struct mega_axis x, y;
    int width, height, bins;
    bool bands;
};

/* no NaN, and within what a drawing's arithmetic bears: beyond is as good as infinite */
static bool drawable(double value)
{
    return fabs(value) < 1e100;
}

static void add_to_bin(struct bin *b, struct mega_point p)
{
    if (!drawable(p.value)) {
        b->missing++;
        return;
    }
    double value = p.value, n = b->finite++;
    b->step = (b->step * n + p.step) / (n + 1);
    b->mean = (b->mean * n + value) / (n + 1);
    b->low = n > 0 ? fmin(b->low, value) : value;
    b->high = n > 0 ? fmax(b->high, value) : value;
}

/* a short curve keeps its points; returns the number of bins */
static int fill_bins(const struct drawing *d, const struct mega_curve *c, struct bin bin[BINS])
{
    memset(bin, 0, BINS * sizeof *bin);
    bool whole = c->n <= d->bins;
    double first = HUGE_VAL, last = -HUGE_VAL;
    for (int i = 0; i < c->n; i++) {
        first = fmin(first, c->at[i].step);
        last = fmax(last, c->at[i].step);
    }
    for (int i = 0; i < c->n; i++) {
        double way = last > first ? (c->at[i].step - first) / (last - first) : 0;
        int at = whole ? i : (int)(way * d->bins);
        add_to_bin(&bin[at < d->bins ? at : d->bins - 1], c->at[i]);
    }
    return whole ? c->n : d->bins;
}

static void set_axes(struct drawing *d)
{
    struct mega_range x = MEGA_RANGE_EMPTY, y = MEGA_RANGE_EMPTY;
    const struct mega_chart *chart = d->chart;
    double scale = chart->quantity.scale;
    for (int l = 0; l < chart->n_lines; l++) {
        const struct mega_curve *c = chart->line[l].curve;
        struct bin bin[BINS];
        int n = fill_bins(d, c, bin);
        for (int i = 0; i < c->n; i++) mega_range_widen(&x, c->at[i].step);
        for (int i = 0; i < n; i++) {
            if (!bin[i].finite) continue;
            mega_range_widen(&y, scale * (d->bands ? bin[i].low : bin[i].mean));
            mega_range_widen(&y, scale * (d->bands ? bin[i].high : bin[i].mean));
        }
    }
    bool log = chart->quantity.wide_ranged && y.low > 0 && y.high > 50 * y.low;
    d->x = mega_axis_make(x, false, 0, chart->wide ? 10 : 5, LEFT, d->width - RIGHT);
    d->y = mega_axis_make(y, log, 0.05, 5, d->height - BOTTOM, TOP);
}

static double x_of(const struct drawing *d, double step)
{
    return mega_axis_place(&d->x, step);
}

static double y_of(const struct drawing *d, double value)
{
    return mega_axis_place(&d->y, value * d->chart->quantity.scale);
}

static const char *x_name(const struct drawing *d)
{
    return d->chart->x ? d->chart->x : "step";
}

static void draw_grid(const struct drawing *d)
{
    char word[32];
    for (int i = 0; i < d->y.n_ticks; i++) {
        double y = mega_axis_place(&d->y, d->y.tick[i]);
        mega_axis_word(&d->y, d->y.tick[i], word);
        mega_text_add(d->to,
            "<path class='grid' d='M%d %.1fH%d'/><text x='%d' y='%.1f' "
            "text-anchor='end'>%s</text>\n",
            LEFT, y, d->width - RIGHT, LEFT - 8, y + 4, word);
    }
    for (int i = 0; i < d->x.n_ticks; i++) {
        double x = mega_axis_place(&d->x, d->x.tick[i]);
        mega_axis_word(&d->x, d->x.tick[i], word);
        mega_text_add(d->to, "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n", x,
            d->height - 8, word);
    }
    mega_text_add(d->to,
        "<path class='base' d='M%d %dH%d'/><text x='%d' y='%d' text-anchor='end'>%s</text>\n",
        LEFT, d->height - BOTTOM, d->width - RIGHT, LEFT - 8, d->height - 8, x_name(d));
}

/* forth along the highest values, back along the lowest */
static void draw_band(const struct drawing *d, const struct bin *bin, int n, int colour)
{
    char word = 'M';
    mega_text_add(d->to, "<path class='band f%d' d='", colour);
    for (int i = 0; i < 2 * n; i++) {
        const struct bin *b = &bin[i < n ? i : 2 * n - 1 - i];
        if (!b->finite) continue;
        mega_text_add(
            d->to, "%c%.1f %.1f", word, x_of(d, b->step), y_of(d, i < n ? b->high : b->low));
        word = 'L';
    }
    mega_text_add(d->to, "z'/>\n");
}

/* the line is broken where all values are missing */
static void draw_curve(
    const struct drawing *d, const struct bin *bin, int n, const struct mega_chart_line *line)
{
    char word = 'M';
    mega_text_add(
        d->to, "<path class='line s%d%s' d='", line->colour, line->marks ? " sparse" : "");
    for (int i = 0; i < n; i++) {
        if (!bin[i].finite) {
            if (bin[i].missing) word = 'M';
            continue;
        }
        mega_text_add(d->to, "%c%.1f %.1f", word, x_of(d, bin[i].step), y_of(d, bin[i].mean));
        word = 'L';
    }
    mega_text_add(d->to, "'/>\n");
}

static void draw_dots(
    const struct drawing *d, const struct bin *bin, int n, const struct mega_chart_line *line)
{
    char word[48];
    for (int i = 0; i < n; i++) {
        if (!bin[i].finite) continue;
        mega_quantity_print(&d->chart->quantity, bin[i].mean, word);
        mega_text_add(d->to, "<circle class='f%d' cx='%.1f' cy='%.1f' r='%s'><title>",
            line->colour, x_of(d, bin[i].step), y_of(d, bin[i].mean), n > 60 ? "1.8" : "3");
        mega_html_add(d->to, line->label);
        mega_text_add(d->to, ", %s %.0f: ", x_name(d), bin[i].step);
        mega_html_add(d->to, word);
        mega_text_add(d->to, "</title></circle>\n");
    }
}

static void draw_missing(const struct drawing *d, const struct mega_chart_line *line)
{
    const struct mega_curve *c = line->curve;
    for (int i = 0, drawn = 0; i < c->n && drawn < MOST_MISSING; i++) {
        if (drawable(c->at[i].value)) continue;
        mega_text_add(d->to, "<path class='missing s%d' d='m%.1f %dl8 8m0-8l-8 8'><title>",
            line->colour, x_of(d, c->at[i].step) - 4, TOP);
        mega_html_add(d->to, line->label);
        mega_text_add(
            d->to, ", %s %.0f: %g</title></path>\n", x_name(d), c->at[i].step, c->at[i].value);
        drawn++;
    }
}

static void draw_line(const struct drawing *d, const struct mega_chart_line *line)
{
    struct bin bin[BINS];
    int n = fill_bins(d, line->curve, bin);
    if (d->bands && line->curve->n > d->bins) draw_band(d, bin, n, line->colour);
    draw_curve(d, bin, n, line);
    if (line->marks || n == 1) draw_dots(d, bin, n, line);
    draw_missing(d, line);
}

static void add_legend(const struct drawing *d)
{
    char word[48];
    mega_text_add(d->to, "<p class='legend'>");
    for (int l = 0; l < d->chart->n_lines; l++) {
        const struct mega_chart_line *line = &d->chart->line[l];
        mega_quantity_print(
            &d->chart->quantity, line->curve->at[line->curve->n - 1].value, word);
        mega_text_add(d->to,
            "<span><svg width='22' height='10'><path class='line s%d%s' d='M0 5H22'/>",
            line->colour, line->marks ? " sparse" : "");
        if (line->marks)
            mega_text_add(d->to, "<circle class='f%d' cx='11' cy='5' r='3'/>", line->colour);
        mega_text_add(d->to, "</svg> ");
        mega_html_add(d->to, line->label);
        mega_text_add(d->to, " <b>");
        mega_html_add(d->to, word);
        mega_text_add(d->to, "</b></span>\n");
    }
    mega_text_add(d->to, "</p>\n");
}

void mega_chart_add(struct mega_text *to, const struct mega_chart *chart)
{
    struct drawing d = {
        .to = to,
        .chart = chart,
        .width = chart->wide ? 1096 : 528,
        .height = chart->wide ? 320 : 230,
        .bins = chart->wide ? BINS : BINS / 2,
        .bands = chart->n_lines <= FEW_LINES,
    };
    set_axes(&d);
    mega_text_add(to, "<figure%s>\n<figcaption>", chart->wide ? " class='wide'" : "");
    mega_html_add(to, chart->quantity.title);
    if (*chart->quantity.unit) {
        mega_text_add(to, " <i>");
        mega_html_add(to, chart->quantity.unit);
        mega_text_add(to, "</i>");
    }
    mega_text_add(to, "</figcaption>\n");
    add_legend(&d);
    mega_text_add(to, "<svg viewBox='0 0 %d %d' role='img'>\n", d.width, d.height);
    draw_grid(&d);
    for (int l = 0; l < chart->n_lines; l++) draw_line(&d, &chart->line[l]);
    mega_text_add(to, "</svg>\n</figure>\n");
}
