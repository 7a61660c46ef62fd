#include <stdio.h>
#include <string.h>

#include "train/report_chart.h"
#include "train/report_sections.h"

enum { QUANTITIES = 48, LINES = 64 };

struct quantity_names {
    const char *name[QUANTITIES];
    int n;
};

static void add_name(struct quantity_names *names, const char *name)
{
    for (int i = 0; i < names->n; i++)
        if (!strcmp(names->name[i], name)) return;
    if (names->n < QUANTITIES) names->name[names->n++] = name;
}

/* loss first, then what is measured on held-out data, then the trainer's own figures */
static void list_quantities(
    struct quantity_names *names, const struct mega_report_run *run, int n)
{
    for (int pass = 0; pass < 3; pass++)
        for (int r = 0; r < n; r++)
            for (int i = 0; i < run[r].log.n_curves; i++) {
                const struct mega_curve *c = &run[r].log.curve[i];
                if (pass == 0 && strcmp(c->quantity, "loss")) continue;
                if (pass == 1 && !strcmp(c->split, "train")) continue;
                add_name(names, c->quantity);
            }
}

int mega_report_colour(int run, int n, const char *split)
{
    static const char *const splits[] = { "train", "valid", "test" };
    if (n > 1) return run % MEGA_CHART_COLOURS;
    for (int i = 0; i < 3; i++)
        if (!strcmp(split, splits[i])) return i;
    return 3;
}

static void add_chart(
    struct mega_text *to, const char *name, const struct mega_report_run *run, int n)
{
    struct mega_chart_line line[LINES];
    char label[LINES][300];
    struct mega_chart chart = {
        .quantity = mega_quantity_find(name),
        .wide = !strcmp(name, "loss"),
        .line = line,
    };
    for (int r = 0; r < n; r++)
        for (int i = 0; i < run[r].log.n_curves && chart.n_lines < LINES; i++) {
            const struct mega_curve *c = &run[r].log.curve[i];
            if (strcmp(c->quantity, name)) continue;
            int l = chart.n_lines++;
            if (n > 1)
                snprintf(label[l], sizeof *label, "%s, %s", run[r].label, c->split);
            else
                snprintf(label[l], sizeof *label, "%s", c->split);
            line[l] = (struct mega_chart_line){
                .label = label[l],
                .colour = mega_report_colour(r, n, c->split),
                .marks = strcmp(c->split, "train") != 0,
                .curve = c,
            };
        }
    mega_chart_add(to, &chart);
}

void mega_report_curves(struct mega_text *to, const struct mega_report_run *run, int n)
{
    struct quantity_names names = { .n = 0 };
    list_quantities(&names, run, n);
    if (names.n == 0) {
        mega_text_add(to, "<p class='absent'>No curves: the log holds no numbers.</p>\n");
        return;
    }
    mega_text_add(to, "<section class='charts'>\n");
    for (int i = 0; i < names.n; i++) add_chart(to, names.name[i], run, n);
    mega_text_add(to, "</section>\n");
}
