/* The ends of the ranking, with all that is known of them. */
#include <math.h>
#include <stdlib.h>

#include "study/head_report.h"
#include "study/head_role.h"
#include "train/report_html.h"

/* importance, confidence, entropy, relative entropy, distance */
static int columns(const struct mega_head_report *r)
{
    return r->n_importance + 4 < r->n_tables ? r->n_importance + 4 : r->n_tables;
}

struct place {
    double value;
    int64_t cell;
};

static void add_extreme(
    struct mega_text *to, const struct mega_head_report *r, int64_t cell, bool gap)
{
    const struct mega_head_table *t = r->table[0].table;
    mega_text_add(to, "<tr%s><td><b>%lld.%lld</b></td>", gap ? " class='gap'" : "",
        (long long)(cell / t->heads), (long long)(cell % t->heads));
    for (int i = 0; i < columns(r); i++) {
        char number[32];
        struct mega_head_unit u = mega_head_report_unit(r->table[i].table);
        mega_head_report_number(&u, r->table[i].table->value[cell], number);
        mega_text_add(to, "<td class='number'>%s</td>", number);
    }
    struct mega_head_role role = { .words = "" };
    if (r->functions) mega_head_role_find(&role, r->functions, r->syntax, cell);
    mega_text_add(to, "<td>%s</td></tr>\n", role.words);
}

static int larger_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->value > y->value || x->value < y->value) return x->value > y->value ? -1 : 1;
    return x->cell < y->cell ? -1 : 1;
}

void mega_head_report_extremes(struct mega_text *to, const struct mega_head_report *r)
{
    enum { SHOWN = 5 };
    const struct mega_head_table *t = r->table[0].table;
    int64_t all = 0, cells = t->layers * t->heads;
    struct place *place = malloc((size_t)(cells + 1) * sizeof *place);
    for (int64_t i = 0; place && i < cells; i++)
        if (isfinite(t->value[i])) place[all++] = (struct place){ t->value[i], i };
    int64_t each = all < 2 * SHOWN ? all / 2 : SHOWN;
    if (!each) {
        free(place);
        return;
    }
    qsort(place, (size_t)all, sizeof *place, larger_first);
    mega_text_add(to, "<section class='card'><h3>Most and least important</h3><p><small>The "
                      "ends of the ranking by ");
    mega_html_add(to, r->table[0].title);
    mega_text_add(to, "; head 2.0 is head 0 of layer 2, as mega heads prune --remove 2.0 takes "
                      "it.</small></p>"
                      "<div class='scroll'><table class='extremes'>\n<tr><th>head</th>");
    for (int i = 0; i < columns(r); i++) {
        struct mega_head_unit u = mega_head_report_unit(r->table[i].table);
        mega_text_add(to, "<th class='number'>");
        mega_html_add(to, r->table[i].title);
        if (u.power) mega_text_add(to, " 10<sup>%d</sup>", u.power);
        mega_text_add(to, "</th>");
    }
    mega_text_add(to, "<th>function</th></tr>\n");
    for (int64_t i = 0; i < each; i++) add_extreme(to, r, place[i].cell, false);
    for (int64_t i = all - each; i < all; i++)
        add_extreme(to, r, place[i].cell, i == all - each);
    free(place);
    mega_text_add(to, "</table></div></section>\n");
}
