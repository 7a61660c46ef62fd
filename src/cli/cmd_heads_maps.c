/* mega heads maps: attention weights of chosen heads, as numbers. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/heads_session.h"
#include "cli/heads_texts.h"
#include "format/node.h"

struct options {
    const char *out;
    int64_t layer, head, text;
    bool rollout, relevance, csv;
    struct mega_heads_data_options data;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "layer", MEGA_OPTION_INT, AT(layer), "-1", -1, 1 << 20, NULL, "N",
        "heads of this layer, from 0; -1: of all", 'l' },
    { "head", MEGA_OPTION_INT, AT(head), "-1", -1, 1 << 20, NULL, "N",
        "the head of this original number; -1: all", 0 },
    { "text", MEGA_OPTION_INT, AT(text), "0", 0, 1 << 20, NULL, "N",
        "which text of the data, from 0", 0 },
    { "rollout", MEGA_OPTION_BOOL, AT(rollout), "false", 0, 0, NULL, NULL,
        "the product of all layers' maps instead (Abnar and Zuidema, 2020)", 0 },
    { "relevance", MEGA_OPTION_BOOL, AT(relevance), "false", 0, 0, NULL, NULL,
        "what each prediction is made of instead: the relevance of every place (Voita, "
        "Sennrich and Titov, 2021)",
        0 },
    { "csv", MEGA_OPTION_BOOL, AT(csv), "false", 0, 0, NULL, NULL,
        "lines layer,head,query,key,weight, zeros left out, instead of one JSON object", 0 },
    { "out", MEGA_OPTION_TEXT, AT(out), "-", 0, 0, NULL, "FILE", "where to; -: standard output",
        'o' },
    MEGA_HEADS_DATA_OPTIONS(AT(data)),
    { 0 },
};

static void add_matrix(
    struct mega_text *to, const float *w, const double *wide, int64_t rows, int64_t columns)
{
    mega_text_add(to, "[");
    for (int64_t i = 0; i < rows * columns; i++) {
        if (i % columns == 0) mega_text_add(to, "%s[", i ? "], " : "");
        mega_text_add(to, "%s%.6g", i % columns ? ", " : "", w ? (double)w[i] : wide[i]);
    }
    mega_text_add(to, "%s]", rows * columns > 0 ? "]" : "");
}

static void add_lines(
    struct mega_text *to, int64_t layer, int64_t head, const float *w, int64_t T)
{
    for (int64_t i = 0; i < T * T; i++)
        if (w[i] > 0)
            mega_text_add(to, "%lld,%lld,%lld,%lld,%.6g\n", (long long)layer, (long long)head,
                (long long)(i / T), (long long)(i % T), (double)w[i]);
}

static bool chosen(const struct options *o, const struct mega_head_maps *m, int64_t cell)
{
    return m->there[cell] && (o->layer < 0 || cell / m->heads == o->layer) &&
           (o->head < 0 || cell % m->heads == o->head);
}

static void add_words(struct mega_text *to, const char *name, char *const *word, int64_t n)
{
    mega_text_add(to, "\"%s\": [", name);
    for (int64_t i = 0; i < n; i++) {
        if (i) mega_text_add(to, ", ");
        mega_json_add_text(to, word[i], strlen(word[i]));
    }
    mega_text_add(to, "]");
}

static void add_relevance(struct mega_text *to, const struct mega_head_text *t)
{
    const struct mega_contributions *c = &t->made_of;
    mega_text_add(to, ", ");
    add_words(to, "predicted", t->predicted, c->predictions);
    mega_contributions_print_places(c, to);
    mega_text_add(to, ", \"relevance\": ");
    add_matrix(to, NULL, c->share, c->predictions, c->places);
}

static mega_status add_rollout(struct mega_text *to, const struct mega_head_maps *m)
{
    double *out = malloc((size_t)(m->T * m->T + 1) * sizeof *out);
    mega_status status =
        out ? mega_head_rollout(m, out) : mega_fail(MEGA_NO_MEMORY, "no memory for a rollout");
    mega_text_add(to, ", \"rollout\": ");
    if (!status) add_matrix(to, NULL, out, m->T, m->T);
    free(out);
    return status;
}

/* the chosen heads; returns how many */
static int64_t add_heads(
    const struct options *o, const struct mega_head_maps *m, struct mega_text *to)
{
    int64_t found = 0;
    for (int64_t c = 0; c < m->layers * m->heads; c++) {
        if (!chosen(o, m, c)) continue;
        int64_t layer = c / m->heads, head = c % m->heads;
        const float *w = mega_map_row(m, layer, head, 0);
        if (o->csv) {
            add_lines(to, layer, head, w, m->T);
        } else {
            mega_text_add(to,
                "%s{\"layer\": %lld, \"head\": %lld, \"weights\": ", found ? ", " : "",
                (long long)layer, (long long)head);
            add_matrix(to, w, NULL, m->T, m->T);
            mega_text_add(to, "}");
        }
        found++;
    }
    return found;
}

static mega_status print(
    const struct options *o, const struct mega_head_text *t, struct mega_text *to)
{
    if (o->csv) {
        mega_text_add(to, "layer,head,query,key,weight\n");
    } else {
        mega_text_add(to, "{");
        add_words(to, "tokens", t->token, t->maps.T);
    }
    if (o->rollout) MEGA_TRY(add_rollout(to, &t->maps));
    if (o->relevance) add_relevance(to, t);
    if (o->rollout || o->relevance) {
        mega_text_add(to, "}\n");
        return MEGA_OK;
    }
    if (!o->csv) mega_text_add(to, ", \"maps\": [");
    int64_t found = add_heads(o, &t->maps, to);
    if (!o->csv) mega_text_add(to, "]}\n");
    return found ? MEGA_OK
                 : mega_fail(MEGA_BAD_ARGUMENT,
                       "the model has no head %lld in layer %lld: mega heads importance lists "
                       "them",
                       (long long)o->head, (long long)o->layer);
}

static mega_status show(struct mega_heads_session *h, const struct options *o)
{
    struct mega_heads_texts texts;
    struct mega_text out = { 0 };
    if ((o->rollout || o->relevance) && o->csv)
        return mega_fail(MEGA_BAD_ARGUMENT, "--%s is printed as JSON, not with --csv",
            o->rollout ? "rollout" : "relevance");
    MEGA_TRY(mega_heads_texts_take(&texts, h, o->text + 1, o->relevance));
    mega_status status =
        texts.n > o->text
            ? print(o, &texts.text[o->text], &out)
            : mega_fail(MEGA_BAD_ARGUMENT, "the data have %lld texts, expected one number %lld",
                  (long long)texts.n, (long long)o->text);
    if (!status) status = mega_heads_write(o->out, &out);
    mega_text_done(&out);
    mega_heads_texts_free(&texts);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct mega_heads_session h;
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    mega_status status = mega_heads_open(&h, line->word[0], file, &o->data);
    if (status) return mega_command_fail(status);
    status = mega_heads_load(&h, file);
    if (!status) status = show(&h, o);
    mega_heads_close(&h);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_heads_maps = {
    .name = "heads maps",
    .summary = "Print attention weights of chosen heads on a text",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "weights[i][j] is what the query at place i gives to the key at place j. Heads count "
        "by the numbers that they had before any was removed. Of a rollout, row i says of "
        "which places the mixture at place i is made, if heads were all that mixed them. Of "
        "the relevance, row i is of the likeliest token after place i (of a classifier: of its "
        "class; of a masked language model: at the i-th of the places that hidden lists) and "
        "sums to 1 over the places.",
    .run = run,
};
