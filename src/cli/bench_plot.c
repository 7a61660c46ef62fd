#include "cli/bench_plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_axis.h"
#include "train/report_html.h"

enum {
    LINES = 24,   /* more are not drawn */
    PANEL = 480,  /* width of a plot with its axis */
    HEIGHT = 360, /* of a plot */
    LEFT = 64,    /* room for the words of the y axis */
    RIGHT = 16,   /* beside the last point */
    TOP = 48,     /* for a title */
    BOTTOM = 44,  /* for the words of the x axis */
    ENTRY = 20,   /* height of a line of the legend */
    COLOURS = 3,  /* one a model */
    DASHES = 10   /* one an engine, the first unbroken and ours */
};

/* without variables: not every reader of SVG knows them */
static const char style[] =
    "<style>\n"
    "text{font:12px system-ui,'Segoe UI',Roboto,Arial,sans-serif;fill:#5b646e}\n"
    ".title{font-size:15px;font-weight:600;fill:#1d2126}.page{fill:#fff}\n"
    ".grid{stroke:#e4e6e9;fill:none}.base{stroke:#8b949e;fill:none}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}.d0{stroke-width:3}\n"
    ".s0{stroke:#2563c9}.s1{stroke:#16856b}.s2{stroke:#d4581f}\n"
    ".f0{fill:#2563c9}.f1{fill:#16856b}.f2{fill:#d4581f}\n"
    ".d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 4}.d3{stroke-dasharray:9 3 2 3}\n"
    ".d4{stroke-dasharray:4 3}.d5{stroke-dasharray:14 4}.d6{stroke-dasharray:1 3}\n"
    ".d7{stroke-dasharray:14 3 2 3 2 3}.d8{stroke-dasharray:5 2 2 2}.d9{stroke-dasharray:9 9}\n"
    "@media(prefers-color-scheme:dark){text{fill:#a5aeb8}.title{fill:#e8ebee}"
    ".page{fill:#16191d}.grid{stroke:#2e343a}.base{stroke:#6b747d}"
    ".s0{stroke:#6ea3f7}.s1{stroke:#4fc3a4}.s2{stroke:#f0915f}"
    ".f0{fill:#6ea3f7}.f1{fill:#4fc3a4}.f2{fill:#f0915f}}\n"
    "</style>\n";

/* one model on one engine over all lengths */
struct line {
    const struct mega_subject *first;
    const struct mega_engine *engine;
    int colour, dash, rank; /* rank: how many lines of this colour come before it */
};

/* one of the two plots */
struct panel {
    const char *title;
    double (*value)(const struct mega_row_summary *s);
    int left;
    struct mega_axis x, y;
};

struct drawing {
    struct mega_text *to;
    const struct mega_rows_list *rows;
    int mode; /* what is drawn: training, else inference, else generation */
    struct line line[LINES];
    int n_lines, ranks; /* ranks: of the colour that has most lines */
};

static double speed(const struct mega_row_summary *s)
{
    return s->tokens_per_s;
}

static double memory(const struct mega_row_summary *s)
{
    return s->peak_mb;
}

static bool on_line(const struct drawing *d, const struct mega_row *row, const struct line *l)
{
    return row->subject->mode == d->mode && row->engine == l->engine &&
           mega_subject_alike(row->subject, l->first);
}

/* ---- what to draw ---- */

static int colour_of(const struct mega_subject *s)
{
    const char *decoder = mega_subject_decoder(s);
    if (mega_subject_is_transformer(s)) return 2;
    return decoder ? strcmp(decoder, "mega") != 0 : s->chunk != 0;
}

/* the peers' in order of appearance */
static int dash_of(const struct drawing *d, const struct mega_engine *e)
{
    int most = 0;
    if (!e->peer) return 0;
    for (int i = 0; i < d->n_lines; i++) {
        if (d->line[i].engine == e) return d->line[i].dash;
        most = d->line[i].dash > most ? d->line[i].dash : most;
    }
    return most % (DASHES - 1) + 1;
}

static void add_line(struct drawing *d, const struct mega_row *row)
{
    struct line l = { .first = row->subject, .engine = row->engine };
    l.colour = colour_of(row->subject);
    l.dash = dash_of(d, row->engine);
    for (int i = 0; i < d->n_lines; i++) l.rank += d->line[i].colour == l.colour;
    d->line[d->n_lines++] = l;
    d->ranks = l.rank < d->ranks ? d->ranks : l.rank + 1;
}

static void find_lines(struct drawing *d)
{
    d->mode = MEGA_SUBJECT_GENERATE;
    for (int i = 0; i < d->rows->n; i++)
        if (d->rows->item[i].n && d->rows->item[i].subject->mode < d->mode)
            d->mode = d->rows->item[i].subject->mode;
    for (int i = 0; i < d->rows->n && d->n_lines < LINES; i++) {
        const struct mega_row *row = &d->rows->item[i];
        bool known = !row->n || row->subject->mode != d->mode;
        for (int k = 0; k < d->n_lines; k++) known |= on_line(d, row, &d->line[k]);
        if (!known) add_line(d, row);
    }
}

/* a row's value in a plot; NaN: it has none */
static double value_of(
    const struct drawing *d, const struct panel *p, const struct mega_row *row)
{
    struct mega_row_summary s = mega_row_summarise(row, d->rows, 0);
    return p->value(&s);
}

/* ranges by the power of two, so that lines end inside */
static void set_axes(const struct drawing *d, struct panel *p)
{
    struct mega_range x = MEGA_RANGE_EMPTY, y = MEGA_RANGE_EMPTY;
    for (int i = 0; i < d->rows->n; i++) {
        const struct mega_row *row = &d->rows->item[i];
        if (row->subject->mode != d->mode || !row->n) continue;
        mega_range_widen(&x, (double)row->subject->length);
        mega_range_widen(&y, value_of(d, p, row));
    }
    if (!(y.low > 0)) y = (struct mega_range){ 1, 10 };
    if (!(x.low > 0)) x = (struct mega_range){ 1024, 65536 };
    if (x.high < 2 * x.low) x = (struct mega_range){ x.low / 2, x.high * 2 };
    if (y.high < 4 * y.low) y = (struct mega_range){ y.low / 2, y.high * 2 };
    p->x = mega_axis_make(x, true, 0.03, 5, p->left + LEFT, p->left + PANEL - RIGHT);
    p->y = mega_axis_make(y, true, 0.05, 5, HEIGHT - BOTTOM, TOP);
}

/* ---- drawing ---- */

/* 500, 2k, 64k with k = 1,000 or, for lengths, 1,024 */
static void short_word(double value, double thousand, char out[32])
{
    if (value >= thousand * thousand)
        snprintf(out, 32, "%.4gM", value / thousand / thousand);
    else if (value >= thousand)
        snprintf(out, 32, "%.4gk", value / thousand);
    else
        snprintf(out, 32, "%.4g", value);
}

static void draw_grid(const struct drawing *d, const struct panel *p)
{
    char word[32];
    int right = p->left + PANEL - RIGHT, bottom = HEIGHT - BOTTOM;
    for (int i = 0; i < p->y.n_ticks; i++) {
        double y = mega_axis_place(&p->y, p->y.tick[i]);
        short_word(p->y.tick[i], 1000, word);
        mega_text_add(d->to,
            "<path class='grid' d='M%d %.1fH%d'/>"
            "<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n",
            p->left + LEFT, y, right, p->left + LEFT - 8, y + 4, word);
    }
    for (double length = exp2(ceil(p->x.from / log10(2))); log10(length) <= p->x.to;
         length *= 2) {
        double x = mega_axis_place(&p->x, length);
        short_word(length, 1024, word);
        mega_text_add(d->to,
            "<path class='grid' d='M%.1f %dV%d'/>"
            "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n",
            x, TOP, bottom, x, bottom + 18, word);
    }
    mega_text_add(d->to,
        "<path class='base' d='M%d %dH%d'/>"
        "<text x='%d' y='%d' text-anchor='end'>length, tokens</text>\n"
        "<text class='title' x='%d' y='26'>%s</text>\n",
        p->left + LEFT, bottom, right, right, bottom + 36, p->left + LEFT, p->title);
}

static void draw_dot(const struct drawing *d, const struct panel *p, const struct line *l,
    const struct mega_row *row)
{
    double value = value_of(d, p, row);
    mega_text_add(d->to, "<circle class='f%d' cx='%.1f' cy='%.1f' r='3'><title>", l->colour,
        mega_axis_place(&p->x, (double)row->subject->length), mega_axis_place(&p->y, value));
    mega_html_add(d->to, row->subject->name);
    mega_text_add(d->to, ", %s: %.0f</title></circle>\n", l->engine->name, value);
}

static void draw_line(const struct drawing *d, const struct panel *p, const struct line *l)
{
    char word = 'M';
    mega_text_add(d->to, "<path class='line s%d d%d' d='", l->colour, l->dash);
    for (int i = 0; i < d->rows->n; i++) {
        const struct mega_row *row = &d->rows->item[i];
        if (!row->n || !on_line(d, row, l)) continue;
        mega_text_add(d->to, "%c%.1f %.1f", word,
            mega_axis_place(&p->x, (double)row->subject->length),
            mega_axis_place(&p->y, value_of(d, p, row)));
        word = 'L';
    }
    mega_text_add(d->to, "'/>\n");
    for (int i = 0; i < d->rows->n; i++)
        if (d->rows->item[i].n && on_line(d, &d->rows->item[i], l))
            draw_dot(d, p, l, &d->rows->item[i]);
}

/* a column for each model */
static void draw_legend(const struct drawing *d)
{
    for (const struct line *l = d->line; l < d->line + d->n_lines; l++) {
        int x = LEFT + l->colour * ((2 * PANEL - LEFT) / COLOURS),
            y = HEIGHT + ENTRY / 2 + l->rank * ENTRY;
        mega_text_add(d->to,
            "<path class='line s%d d%d' d='M%d %dh44'/><circle class='f%d' cx='%d' cy='%d' "
            "r='3'/><text x='%d' y='%d'>%s, %s</text>\n",
            l->colour, l->dash, x, y, l->colour, x + 22, y, x + 52, y + 4,
            mega_subject_model(l->first), l->engine->name);
    }
}

void mega_bench_plot(struct mega_text *to, const struct mega_rows_list *rows)
{
    struct drawing d = { .to = to, .rows = rows };
    find_lines(&d);
    static const char *const titles[][2] = {
        [MEGA_SUBJECT_TRAIN] = { "Training, tokens/s", "Training, peak memory, MB" },
        [MEGA_SUBJECT_INFER] = { "Inference, tokens/s", "Inference, peak memory, MB" },
        [MEGA_SUBJECT_GENERATE] = { "Generation, tokens/s", "Generation, peak memory, MB" },
    };
    struct panel panel[] = {
        { .title = titles[d.mode][0], .value = speed },
        { .title = titles[d.mode][1], .value = memory, .left = PANEL },
    };
    int width = 2 * PANEL, height = HEIGHT + (d.ranks + 1) * ENTRY;
    mega_text_add(to,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' "
        "role='img'>\n<title>Speed and memory by length</title>\n%s"
        "<rect class='page' width='%d' height='%d' rx='8'/>\n",
        width, height, width, height, style, width, height);
    for (int i = 0; i < 2; i++) {
        set_axes(&d, &panel[i]);
        draw_grid(&d, &panel[i]);
        for (int l = 0; l < d.n_lines; l++) draw_line(&d, &panel[i], &d.line[l]);
    }
    draw_legend(&d);
    mega_text_add(to, "</svg>\n");
}
