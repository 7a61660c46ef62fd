#include <math.h>
#include <stdlib.h>

#include "study/head_report.h"
#include "train/report_html.h"

enum { MOST_CELLS = 48, LEVELS = 8, LABELLED = 24 };

/* A map of n x n cells, each the mean row sum of what a block of queries gives to a block of
 * keys. */
static double *pool(
    const struct mega_head_maps *m, const float *w, const double *wide, int64_t n)
{
    double *cell = calloc((size_t)(n * n) + 1, sizeof *cell);
    for (int64_t i = 0; cell && i < m->T; i++)
        for (int64_t j = 0; j < m->T; j++)
            cell[i * n / m->T * n + j * n / m->T] +=
                (w ? (double)w[i * m->T + j] : wide[i * m->T + j]) * (double)n / (double)m->T;
    return cell;
}

/* one path for each level of colour, from the lowest to the highest value of the map */
static void draw(struct mega_text *to, const double *cell, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n * n; i++) most = fmax(most, cell[i]);
    for (int level = 1; level <= LEVELS && most > 0; level++) {
        bool begun = false;
        for (int64_t i = 0; i < n * n; i++) {
            if ((int)ceil(cell[i] / most * LEVELS - 0.5) != level) continue;
            if (!begun) mega_text_add(to, "<path opacity='%.3g' d='", (double)level / LEVELS);
            begun = true;
            mega_text_add(to, "M%lld %lldh1v1h-1z", (long long)(i % n), (long long)(i / n));
        }
        if (begun) mega_text_add(to, "'/>");
    }
}

/* queries from top to bottom, keys from left to right */
static void add_labels(struct mega_text *to, const struct mega_head_text *text)
{
    for (int64_t t = 0; t < text->maps.T; t++) {
        mega_text_add(to, "<text x='-.3' y='%.2f' text-anchor='end' style='font-size:.6px'>",
            (double)t + 0.7);
        mega_html_add(to, text->token[t]);
        mega_text_add(to,
            "</text><text transform='translate(%.2f %.2f) rotate(-90)' text-anchor='end' "
            "style='font-size:.6px'>",
            (double)t + 0.7, (double)text->maps.T + 0.3);
        mega_html_add(to, text->token[t]);
        mega_text_add(to, "</text>");
    }
}

static void add_map(struct mega_text *to, const struct mega_head_text *text, const float *w,
    const double *wide, const char *caption)
{
    int64_t T = text->maps.T, n = T < MOST_CELLS ? T : MOST_CELLS;
    double *cell = pool(&text->maps, w, wide, n), edge = T <= LABELLED ? 4 : 0;
    mega_text_add(to,
        "<figure tabindex='0'><figcaption>%s</figcaption><svg viewBox='%g 0 %g %g' role='img' "
        "aria-label='%s'>",
        caption, -edge, (double)n + edge, (double)n + edge, caption);
    if (cell) draw(to, cell, n);
    if (T <= LABELLED) add_labels(to, text);
    mega_text_add(to, "</svg></figure>\n");
    free(cell);
}

void mega_head_report_maps(struct mega_text *to, const struct mega_head_text *text, int64_t n)
{
    const struct mega_head_maps *m = &text->maps;
    mega_text_add(to, "<section class='card'><h3>Text %lld <small>%lld places%s</small></h3>",
        (long long)n, (long long)m->T, m->T > MOST_CELLS ? ", drawn as blocks of several" : "");
    mega_text_add(to, "<p class='tokens'><code>");
    for (int64_t t = 0; t < m->T && t < 400; t++) mega_html_add(to, text->token[t]);
    mega_text_add(to,
        "</code></p><p><small>Rows: queries from top to bottom. Columns: keys. The "
        "darkest cell is the map's largest. A click enlarges.</small></p>"
        "<div class='maps'>\n");
    double *rollout = malloc((size_t)(m->T * m->T + 1) * sizeof *rollout);
    if (rollout && !mega_head_rollout(m, rollout))
        add_map(to, text, NULL, rollout, "rollout of all layers");
    free(rollout);
    for (int64_t i = 0; i < m->layers * m->heads; i++) {
        struct mega_text caption = { 0 };
        mega_text_add(&caption, "layer %lld, head %lld", (long long)(i / m->heads),
            (long long)(i % m->heads));
        if (m->there[i] && !caption.failed)
            add_map(
                to, text, mega_map_row(m, i / m->heads, i % m->heads, 0), NULL, caption.data);
        mega_text_done(&caption);
    }
    mega_text_add(to, "</div></section>\n");
}
