#include <math.h>
#include <stdio.h>
#include <string.h>

#include "study/head_report.h"
#include "study/head_role.h"
#include "train/report_html.h"

/* cells with numbers or words; with a head's number alone; with nothing but colour */
enum { WIDE_HEADS = 12, SMALL_HEADS = 40 };

static const char *size_of(int64_t heads, bool words)
{
    return heads <= WIDE_HEADS   ? "wide"
           : heads > SMALL_HEADS ? "tiny"
           : words               ? "middle"
                                 : "small";
}

bool mega_head_table_range(const struct mega_head_table *t, double *least, double *most)
{
    *least = INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < t->layers * t->heads; i++)
        if (isfinite(t->value[i])) {
            *least = fmin(*least, t->value[i]);
            *most = fmax(*most, t->value[i]);
        }
    return *most >= *least;
}

struct mega_head_unit mega_head_report_unit(const struct mega_head_table *t)
{
    double least, most;
    struct mega_head_unit u = { 1, 0, true };
    if (!mega_head_table_range(t, &least, &most)) return u;
    for (int64_t i = 0; i < t->layers * t->heads && u.whole; i++)
        u.whole = !isfinite(t->value[i]) || !(fabs(t->value[i] - rint(t->value[i])) > 0);
    double size = fmax(fabs(least), fabs(most));
    if ((size >= 0.01 && size < 1e4) || !(size > 0) || (u.whole && size < 1e6)) return u;
    u.whole = false;
    u.power = (int)floor(log10(size) / 3) * 3;
    u.factor = pow(10, -u.power);
    return u;
}

void mega_head_report_number(const struct mega_head_unit *u, double value, char out[32])
{
    value *= u->factor;
    double size = fabs(value);
    int decimals = u->whole || size >= 99.95 ? 0 : size < 0.9995 ? 3 : size < 9.995 ? 2 : 1;
    snprintf(out, 32, "%.*f", decimals, value);
    /* no "-0.000" */
    if (strspn(out, "-0.") == strlen(out)) snprintf(out, 32, "0");
}

/* ---- the frame: a row of numbers, or of words, on top ---- */

static void begin(struct mega_text *to, int64_t heads, bool words)
{
    mega_text_add(to,
        "<div class='scroll'><table class='heads %s' style='--heads:%lld'>\n<tr "
        "class='numbers'><th>layer</th>",
        size_of(heads, words), (long long)heads);
    for (int64_t h = 0; h < heads; h++) mega_text_add(to, "<th>%lld</th>", (long long)h);
    mega_text_add(to, "</tr>\n<tr class='ranks'><th>layer</th><th>most important first "
                      "\xe2\x86\x92</th></tr>\n");
}

static void begin_row(struct mega_text *to, int64_t layer)
{
    mega_text_add(to, "<tr><th>%lld</th>", (long long)layer);
}

static void begin_cell(struct mega_text *to, const struct mega_head_report *r, int64_t layer,
    int64_t head, double share, const char *classes)
{
    int64_t heads = r->table[0].table->heads;
    mega_text_add(to, "<td class='%s%s' style='--r:%d;--s:%.3f' title='layer %lld, head %lld",
        classes, share > 0.55 ? " strong" : "", r->rank[layer * heads + head] + 1, share,
        (long long)layer, (long long)head);
}

static void add_gone(struct mega_text *to, int64_t heads)
{
    mega_text_add(to, "<td class='gone' style='--r:%lld' title='removed'>\xe2\x80\x93</td>",
        (long long)heads + 1);
}

/* ---- numbers ---- */

static void add_title(
    struct mega_text *to, const struct mega_report_table *t, const struct mega_head_unit *u)
{
    mega_text_add(to, "<section class='card'><h3>");
    mega_html_add(to, t->title);
    mega_text_add(to, " <small>");
    if (u->power) mega_text_add(to, "10<sup>%d</sup> ", u->power);
    mega_html_add(to, t->unit);
    mega_text_add(to, "</small></h3>");
    if (*t->note) {
        mega_text_add(to, "<p><small>");
        mega_html_add(to, t->note);
        mega_text_add(to, "</small></p>");
    }
}

static void add_ramp(struct mega_text *to, const struct mega_report_table *t,
    const struct mega_head_unit *u, double low, double high)
{
    struct mega_head_unit between = { u->factor, u->power, false };
    char word[3][32];
    for (int i = 0; i < 3; i++)
        mega_head_report_number(i == 1 ? &between : u, low + (high - low) * i / 2, word[i]);
    mega_text_add(to,
        "<div class='key'><div "
        "class='ramp%s'><span>%s</span><span>%s</span><span>%s</span></div>"
        "</div></section>\n",
        t->has_sign ? " signed" : "", word[0], word[1], word[2]);
}

void mega_head_report_matrix(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_report_table *t)
{
    double least = 0, most = 0;
    char number[32];
    struct mega_head_unit u = mega_head_report_unit(t->table);
    bool some = mega_head_table_range(t->table, &least, &most);
    if (t->has_sign) most = fmax(fabs(least), fabs(most)), least = -most;
    /* what hardly differs does not look as if it did */
    double range = fmax(most - least, 0.05 * fabs(most));
    add_title(to, t, &u);
    begin(to, t->table->heads, false);
    for (int64_t l = 0; l < t->table->layers; l++) {
        begin_row(to, l);
        for (int64_t h = 0; h < t->table->heads; h++) {
            double v = *mega_head_at(t->table, l, h);
            if (!isfinite(v)) {
                add_gone(to, t->table->heads);
                continue;
            }
            double share = !(most > least) ? 0
                           : t->has_sign   ? fabs(v) / most
                                           : (v - least) / range;
            begin_cell(to, r, l, h, share, t->has_sign && v < 0 ? "below" : "above");
            mega_head_report_number(&u, v, number);
            mega_text_add(to, ": %.6g", v);
            if (*t->unit) mega_text_add(to, " ");
            mega_html_add(to, t->unit);
            mega_text_add(
                to, "'><i>%lld</i><b class='value'>%s</b></td>", (long long)h, number);
        }
        mega_text_add(to, "</tr>\n");
    }
    mega_text_add(to, "</table></div>");
    if (some && most > least)
        add_ramp(to, t, &u, least, most);
    else
        mega_text_add(to, "</section>\n");
}

/* ---- functions ---- */

static void add_role_cell(
    struct mega_text *to, const struct mega_head_report *r, int64_t layer, int64_t head)
{
    const struct mega_head_functions *f = r->functions;
    int64_t cell = layer * f->confidence.heads + head;
    struct mega_head_role role;
    mega_head_role_find(&role, f, r->syntax, cell);
    double share = role.kind == MEGA_ROLE_NONE     ? 0
                   : role.kind == MEGA_ROLE_SYNTAX ? role.share
                                                   : 1;
    begin_cell(to, r, layer, head, share, mega_head_role_names[role.kind]);
    if (role.kind == MEGA_ROLE_NONE)
        mega_text_add(to, ": none of these; offset %+.0f: %.0f %%", f->where.value[cell],
            100 * f->position.value[cell]);
    else
        mega_text_add(to, ": %s", role.words);
    mega_text_add(to, "'><i>%lld</i><b>%s", (long long)head, role.label);
    if (role.count > 1) mega_text_add(to, "&thinsp;+%d", role.count - 1);
    mega_text_add(to, "</b></td>");
}

static bool any_role(const struct mega_head_report *r)
{
    const struct mega_head_table *t = &r->functions->confidence;
    struct mega_head_role role = { .kind = MEGA_ROLE_NONE };
    for (int64_t i = 0; i < t->layers * t->heads && role.kind == MEGA_ROLE_NONE; i++)
        mega_head_role_find(&role, r->functions, r->syntax, i);
    return role.kind != MEGA_ROLE_NONE;
}

static void add_role_grid(struct mega_text *to, const struct mega_head_report *r)
{
    const struct mega_head_table *t = &r->functions->confidence;
    begin(to, t->heads, true);
    for (int64_t l = 0; l < t->layers; l++) {
        begin_row(to, l);
        for (int64_t h = 0; h < t->heads; h++)
            if (isfinite(*mega_head_at(t, l, h)))
                add_role_cell(to, r, l, h);
            else
                add_gone(to, t->heads);
        mega_text_add(to, "</tr>\n");
    }
    mega_text_add(to, "</table></div>");
}

void mega_head_report_roles(struct mega_text *to, const struct mega_head_report *r)
{
    bool some = any_role(r);
    mega_text_add(to, "<section class='card'><h3>Functions</h3><p><small>%s</small></p>",
        some ? "What a head mostly does; +1: one more function. A pointer on a head tells its "
               "shares."
             : "No head has one of these functions.");
    if (some) add_role_grid(to, r);
    mega_text_add(to,
        "<div class='key'><span><span class='swatch position'></span>-1: at least 90 %% of the "
        "queries look most to that offset</span>");
    if (r->syntax)
        mega_text_add(to,
            "<span><span class='swatch syntax'></span>s-v: subject to verb, o: object, a: "
            "adjective, adv: adverb; the stronger the more often, and at least 0.1 more often "
            "than the commonest distance</span>");
    mega_text_add(to,
        "<span><span class='swatch rare'></span>r: more often than not to the rarest token of "
        "a "
        "text</span><span><span class='swatch plain'></span>none of these</span>%s</div>"
        "</section>\n",
        r->syntax || r->model->config.architecture == MEGA_CLASSIFIER
            ? ""
            : "<span>Syntax is not looked at: --conllu FILE.</span>");
}
