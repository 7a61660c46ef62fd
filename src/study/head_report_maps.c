/* Attention maps of a text, and what its predictions are made of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/head_report.h"
#include "study/head_role.h"
#include "train/report_chart.h"

enum { MOST_CELLS = 48, LEVELS = 12, LABEL = 12, MOST_HIDDEN = 24 };

/* A picture of rows times columns of numbers. */
struct picture {
    const float *narrow; /* one of these: [T, T] */
    const double *wide;
    const char *row, *column; /* what they are */
};

/* T x T numbers as n x n cells: the mean row of a block of rows, summed over a block of
 * columns */
static double *pool(const struct picture *p, int64_t T, int64_t n)
{
    double *cell = calloc((size_t)(n * n) + 1, sizeof *cell),
           *rows = calloc((size_t)n + 1, sizeof *rows);
    for (int64_t i = 0; rows && i < T; i++) rows[i * n / T]++;
    for (int64_t i = 0; cell && rows && i < T; i++)
        for (int64_t j = 0; j < T; j++)
            cell[i * n / T * n + j * n / T] +=
                (p->narrow ? (double)p->narrow[i * T + j] : p->wide[i * T + j]) /
                rows[i * n / T];
    free(rows);
    return cell;
}

static int level_of(double share)
{
    return (int)ceil(share * LEVELS - 0.5);
}

/* one path for each level of colour; neighbours in a row are one rectangle */
static void draw(struct mega_text *to, const double *cell, int64_t n, double most)
{
    for (int level = 1; level <= LEVELS && most > 0; level++) {
        bool begun = false;
        for (int64_t i = 0, run; i < n * n; i += run) {
            run = 1;
            if (level_of(cell[i] / most) != level) continue;
            while ((i + run) % n && level_of(cell[i + run] / most) == level) run++;
            if (!begun) mega_text_add(to, "<path opacity='%.3g' d='", (double)level / LEVELS);
            begun = true;
            mega_text_add(to, "M%lld %lldh%lldv1h-%lldz", (long long)(i % n),
                (long long)(i / n), (long long)run, (long long)run);
        }
        if (begun) mega_text_add(to, "'/>");
    }
}

/* the numbers themselves, for the pointer: two letters a cell */
static void add_numbers(struct mega_text *to, const double *cell, int64_t n, double most)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    mega_text_add(to, " data-most='%.6g' data-v='", most);
    for (int64_t i = 0; i < n * n; i++) {
        int v = most > 0 ? (int)lround(4095 * fmax(cell[i], 0) / most) : 0;
        mega_text_add_bytes(to, (char[2]){ letters[v / 64 % 64], letters[v % 64] }, 2);
    }
    mega_text_add(to, "'");
}

/* ---- words ---- */

/* what cannot be seen gets a sign; at most so many characters, 0: all */
static void add_token(struct mega_text *to, const char *token, int most)
{
    static const char *const signs[][2] = { { " ", "\xe2\x90\xa3" }, { "\n", "\xe2\x86\xb5" },
        { "\t", "\xe2\x87\xa5" }, { "\r", "\xe2\x90\x8d" } };
    int shown = 0;
    for (const char *at = token; *at; shown++) {
        size_t n = 1;
        while ((at[n] & 0xc0) == 0x80) n++;
        if (most && shown == most) {
            mega_text_add(to, "\xe2\x80\xa6");
            return;
        }
        const char *sign = NULL;
        for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
            if (n == 1 && *at == signs[k][0][0]) sign = signs[k][1];
        if (sign)
            mega_text_add(to, "%s", sign);
        else
            mega_html_add_bytes(to, at, n);
        at += n;
    }
}

static void add_label(
    struct mega_text *to, const struct mega_head_text *text, int64_t cell, int64_t n)
{
    int64_t T = text->maps.T, place = (cell * T + n - 1) / n;
    if (n == T)
        add_token(to, text->token[place], LABEL);
    else
        mega_text_add(to, "%lld", (long long)place);
}

/* rows from top to bottom, columns from left to right; of blocks each fourth has a number */
static void add_labels(struct mega_text *to, const struct mega_head_text *text, int64_t n)
{
    double size = fmin(0.62, 0.02 * (double)n);
    mega_text_add(to, "<g class='labels'>");
    for (int64_t c = 0; c < n; c += n == text->maps.T ? 1 : 4) {
        mega_text_add(to, "<text x='-.3' y='%.2f' text-anchor='end' style='font-size:%.3gpx'>",
            (double)c + 0.5 + size / 3, size);
        add_label(to, text, c, n);
        mega_text_add(to,
            "</text><text transform='translate(%.2f %.2f) rotate(-90)' text-anchor='end' "
            "style='font-size:%.3gpx'>",
            (double)c + 0.5 + size / 3, (double)n + 0.3, size);
        add_label(to, text, c, n);
        mega_text_add(to, "</text>");
    }
    mega_text_add(to, "</g>");
}

/* ---- a picture ---- */

static void add_picture(struct mega_text *to, const struct mega_head_text *text,
    const struct picture *p, const char *caption)
{
    int64_t T = text->maps.T, n = T < MOST_CELLS ? T : MOST_CELLS;
    static const struct mega_head_unit plain = { 1, 0, false };
    double *cell = pool(p, T, n), most = 0;
    char high[32], middle[32];
    if (!cell || !T) {
        free(cell);
        return;
    }
    for (int64_t i = 0; i < n * n; i++) most = fmax(most, cell[i]);
    mega_head_report_number(&plain, most, high);
    mega_head_report_number(&plain, most / 2, middle);
    mega_text_add(to,
        "<figure tabindex='0'><figcaption>%s <i>max %s</i></figcaption><svg viewBox='0 0 %lld "
        "%lld' role='img' aria-label='%s' data-n='%lld' data-t='%lld' data-row='%s' "
        "data-column='%s'",
        caption, high, (long long)n, (long long)n, caption, (long long)n, (long long)T, p->row,
        p->column);
    add_numbers(to, cell, n, most);
    mega_text_add(to, ">");
    draw(to, cell, n, most);
    add_labels(to, text, n);
    mega_text_add(to,
        "</svg><div class='key'><div class='ramp'><span>0</span><span>%s</span><span>%s</span>"
        "</div></div></figure>\n",
        middle, high);
    free(cell);
}

/* the number of heads whose rank beats this one's, by the first table */
static int64_t standing(const struct mega_head_report *r, int64_t cell)
{
    const struct mega_head_table *t = r->table[0].table;
    int64_t better = 0;
    for (int64_t i = 0; i < t->layers * t->heads; i++)
        better += t->value[i] > t->value[cell] ||
                  (!(t->value[i] < t->value[cell]) && !isnan(t->value[i]) && i < cell);
    return better;
}

static void add_heads(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_head_text *text)
{
    const struct mega_head_maps *m = &text->maps;
    int64_t there = mega_head_table_count(r->table[0].table), shown = 0;
    mega_text_add(to, "<div class='maps'>\n");
    for (int64_t i = 0; i < m->layers * m->heads; i++) {
        if (!m->there[i] || (there > r->most_maps && standing(r, i) >= r->most_maps)) continue;
        struct mega_head_role role = { .label = "" };
        struct picture p = { mega_map_row(m, i / m->heads, i % m->heads, 0), NULL, "query",
            "key" };
        char caption[64];
        if (r->functions) mega_head_role_find(&role, r->functions, r->syntax, i);
        snprintf(caption, sizeof caption, "%lld.%lld %s", (long long)(i / m->heads),
            (long long)(i % m->heads), role.label);
        add_picture(to, text, &p, caption);
        shown++;
    }
    mega_text_add(to, "</div>\n");
    if (shown < there)
        mega_text_add(to,
            "<p><small>%lld of %lld heads, the most important; --maps N shows "
            "more.</small></p>\n",
            (long long)shown, (long long)there);
}

/* ---- what predictions are made of ---- */

/* the text, coloured by what a prediction is made of; `share` NULL: plain */
static void add_tokens(struct mega_text *to, const struct mega_head_report *r,
    const struct mega_head_text *text, const double *share)
{
    /* pieces of a text follow each other; numbers do not */
    const char *gap = r->model->config.architecture == MEGA_LANGUAGE_MODEL ? "" : " ";
    double most = 0;
    for (int64_t t = 0; share && t < text->maps.T; t++) most = fmax(most, share[t]);
    mega_text_add(to, "<p class='tokens'><code>");
    for (int64_t t = 0; t < text->maps.T && t < 2000; t++) {
        double part = most > 0 ? share[t] / most : 0;
        if (most > 0)
            mega_text_add(to, "<span%s style='--s:%.3f' title='place %lld: %.4g'>",
                part > 0.55 ? " class='strong'" : "", part, (long long)t, share[t]);
        else
            mega_text_add(to, "<span title='place %lld'>", (long long)t);
        add_token(to, text->token[t], 0);
        mega_text_add(to, "</span>%s", gap);
    }
    mega_text_add(to, "</code></p>");
}

/* of a classifier one prediction */
static void add_class(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_head_text *text)
{
    add_tokens(to, r, text, text->made_of.share);
    mega_text_add(
        to, "<p><small>The stronger the colour of a place, the more the predicted class, ");
    mega_html_add(to, text->predicted[0]);
    mega_text_add(to, ", is made of it (relevance).</small></p>");
}

/* of a masked model one for each hidden place */
static void add_hidden(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_head_text *text)
{
    const struct mega_contributions *c = &text->made_of;
    mega_text_add(to,
        "<p><small>The text again for each place that was to be found: the "
        "stronger the colour, the more the token told there is made of that place "
        "(relevance).%s</small></p>",
        c->predictions > MOST_HIDDEN ? " The first of them." : "");
    for (int64_t p = 0; p < c->predictions && p < MOST_HIDDEN; p++) {
        mega_text_add(to, "<p><small>place %lld, told: ", (long long)c->at[p]);
        add_token(to, text->predicted[p], 0);
        mega_text_add(to, "</small></p>");
        add_tokens(to, r, text, c->share + p * c->places);
    }
}

/* what one sees of a text before its maps */
static void add_text(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_head_text *text)
{
    const struct mega_contributions *c = &text->made_of;
    if (!c->at && c->predictions == 1 && c->places >= text->maps.T) {
        add_class(to, r, text);
        return;
    }
    add_tokens(to, r, text, NULL);
    if (c->at) add_hidden(to, r, text);
}

static double entropy(const double *share, int64_t n)
{
    double sum = 0, out = 0;
    for (int64_t j = 0; j < n; j++) sum += share[j];
    for (int64_t j = 0; j < n; j++)
        if (share[j] > 0) out -= share[j] / sum * log(share[j] / sum);
    return out;
}

/* over places: how spread a prediction's sources are, and what a place gives to all later ones
 */
static void add_spread(struct mega_text *to, const struct mega_contributions *c)
{
    int64_t T = c->places;
    struct mega_curve curve[2] = { { .n = (int)T }, { .n = (int)T } };
    for (int k = 0; k < 2; k++) curve[k].at = calloc((size_t)T + 1, sizeof *curve[k].at);
    for (int64_t i = 0; curve[0].at && curve[1].at && i < T; i++) {
        double given = 0;
        /* each prediction gives 1 to the places that it sees: 1 is an equal share */
        for (int64_t p = i; p < c->predictions; p++)
            given += c->share[p * T + i] * (double)(p + 1) / (double)(c->predictions - i);
        curve[0].at[i] = (struct mega_point){ (double)i, entropy(c->share + i * T, i + 1) };
        curve[1].at[i] = (struct mega_point){ (double)i, given };
    }
    static const struct mega_quantity what[] = {
        { "entropy", "Entropy of what a prediction is made of", "nats", 1, false, false },
        { "given", "What a place gives to predictions from it on", "times an equal share", 1,
            false, false },
    };
    mega_text_add(to, "<div class='charts'>\n");
    for (int k = 0; k < 2 && curve[0].at && curve[1].at; k++) {
        struct mega_chart_line line = { "this text", k, T <= 64, &curve[k] };
        mega_chart_add(
            to, &(struct mega_chart){
                    .quantity = what[k], .x = "place", .line = &line, .n_lines = 1 });
    }
    mega_text_add(to, "</div>\n");
    free(curve[0].at);
    free(curve[1].at);
}

void mega_head_report_maps(
    struct mega_text *to, const struct mega_head_report *r, int64_t number)
{
    const struct mega_head_text *text = &r->text[number];
    const struct mega_head_maps *m = &text->maps;
    const struct mega_contributions *c = &text->made_of;
    bool every = !c->at && c->predictions > 1 && c->predictions == m->T && c->places == m->T;
    mega_text_add(to, "<section class='card'><h3>Text %lld <small>%lld places",
        (long long)number, (long long)m->T);
    if (m->T > MOST_CELLS)
        mega_text_add(to,
            ", drawn as %d blocks: what a query of a block gives to a block, on average",
            MOST_CELLS);
    mega_text_add(to, "</small></h3>");
    add_text(to, r, text);
    mega_text_add(to,
        "<p><small>Rows: queries from top to bottom. Columns: keys from left to right. No "
        "colour is 0, the strongest the map's own largest weight. 1.0 is head 0 of layer 1. "
        "Rollout: of which places all layers together mix a place, if heads were all that "
        "mixed "
        "them.%s A click enlarges, Escape makes small again; a pointer tells the "
        "weight.</small></p>\n",
        every ? " Relevance: of which places the likeliest token after a place is made." : "");
    double *rollout = malloc((size_t)(m->T * m->T + 1) * sizeof *rollout);
    mega_text_add(to, "<div class='maps'>\n");
    if (rollout && !mega_head_rollout(m, rollout))
        add_picture(to, text, &(struct picture){ NULL, rollout, "place", "has of" }, "rollout");
    if (every)
        add_picture(to, text,
            &(struct picture){ NULL, c->share, "prediction after", "is made of" }, "relevance");
    free(rollout);
    mega_text_add(to, "</div>\n");
    add_heads(to, r, text);
    if (every) add_spread(to, c);
    mega_text_add(to, "</section>\n");
}
