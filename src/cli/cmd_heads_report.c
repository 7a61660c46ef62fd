/* mega heads report: one HTML page about a model's heads, and its numbers beside it. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/heads_sentences.h"
#include "cli/heads_texts.h"
#include "study/head_relevance.h"
#include "study/head_report.h"

struct options {
    const char *out, *conllu;
    int64_t show, maps, removal;
    bool relevance, ablation;
    struct mega_heads_data_options data;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "out", MEGA_OPTION_TEXT, AT(out), "heads.html", 0, 0, NULL, "FILE",
        "where the page goes; its numbers go beside it, as FILE with .json and .csv in place "
        "of "
        ".html",
        'o' },
    { "show", MEGA_OPTION_INT, AT(show), "1", 0, 100, NULL, "N",
        "texts whose attention maps are shown, the first of the data", 0 },
    { "maps", MEGA_OPTION_INT, AT(maps), "64", 1, 1 << 20, NULL, "N",
        "heads whose maps are shown, the most important", 0 },
    { "relevance", MEGA_OPTION_BOOL, AT(relevance), "false", 0, 0, NULL, NULL,
        "also the heads' share in predictions, and what these are made of, which takes long",
        0 },
    { "ablation", MEGA_OPTION_BOOL, AT(ablation), "false", 0, 0, NULL, NULL,
        "also what closing each head alone adds to the loss: a pass over the data for each",
        0 },
    { "removal", MEGA_OPTION_INT, AT(removal), "0", 0, 10000, NULL, "N",
        "also the loss while heads go, in N steps; 0: not", 0 },
    { "conllu", MEGA_OPTION_TEXT, AT(conllu), "", 0, 0, NULL, "FILE",
        "also which heads follow syntax, in parsed sentences in CoNLL-U", 0 },
    MEGA_HEADS_DATA_OPTIONS(AT(data)),
    { 0 },
};

/* All that the page shows. */
struct material {
    struct mega_heads_session heads;
    struct mega_head_table absolute, with_sign, ablation, relevance, gate, log_a;
    struct mega_head_functions functions;
    struct mega_head_syntax syntax;
    struct mega_head_removal removal;
    struct mega_gate_history history;
    struct mega_run_log log;
    struct mega_heads_texts texts;
    double loss;
    int64_t seen, places;
    bool gated;
};

/* ---- gathering ---- */

static mega_status count(void *arg, struct mega_batch *b)
{
    struct material *m = arg;
    m->seen += b->n;
    for (int k = 0; k < 2 && b->text[k].data; k++) m->places += mega_rows_len(&b->rows[k], 0);
    return MEGA_OK;
}

/* what the run itself wrote: gates at each validation, curves */
static mega_status read_log(struct material *m, const char *path)
{
    struct mega_model_heads h;
    struct mega_text log = { 0 };
    mega_text_add(&log, "%s/log.jsonl", path);
    if (log.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to read the log of %s", path);
    mega_status status = mega_model_heads_find(&h, m->heads.session.model);
    if (!status) status = mega_gate_history_read(&m->history, log.data, &h);
    mega_model_heads_done(&h);
    if (!status && mega_path_exists(log.data)) status = mega_run_log_read(&m->log, log.data);
    mega_text_done(&log);
    return status;
}

/* what needs a factor of each head */
static mega_status gather_gated(struct material *m, const struct options *o)
{
    const struct mega_heads_session *h = &m->heads;
    mega_model *gated;
    MEGA_TRY(mega_study_gated(&gated, h->session.model));
    mega_status status = mega_study_gradient(&h->data, gated, &m->absolute, &m->with_sign);
    if (!status && o->ablation) status = mega_study_ablation(&h->data, gated, &m->ablation);
    if (!status && o->removal)
        status = mega_study_removal(
            &h->data, h->session.model, gated, o->removal, h->end, &m->removal);
    mega_model_free(gated);
    return status;
}

static mega_status gather(struct material *m, const struct options *o, const char *path)
{
    struct mega_heads_session *h = &m->heads;
    const mega_model *model = h->session.model;
    MEGA_TRY(mega_study_each(&h->data, count, m));
    MEGA_TRY(mega_study_loss(&h->data, model, &m->loss));
    MEGA_TRY(gather_gated(m, o));
    if (o->relevance) MEGA_TRY(mega_study_relevance(&h->data, model, false, &m->relevance));
    MEGA_TRY(mega_study_functions(&h->data, model, h->end, false, &m->functions));
    if (*o->conllu) MEGA_TRY(mega_heads_syntax(h, o->conllu, o->data.texts, &m->syntax));
    if (m->gated) MEGA_TRY(mega_study_gates(model, &m->gate, &m->log_a));
    MEGA_TRY(read_log(m, path));
    return mega_heads_texts_take(&m->texts, h, o->show, o->relevance);
}

static void find_gates(struct material *m)
{
    struct mega_model_heads h;
    if (mega_model_heads_find(&h, m->heads.session.model)) return;
    for (int64_t l = 0; l < h.layers; l++) {
        const struct mega_attention *a = h.layer[l].attention;
        m->gated |= a->gates.log_a || a->gates.open || a->group_gates.log_a;
    }
    mega_model_heads_done(&h);
}

/* ---- the tables, importance first ---- */

static void add_importance(
    struct mega_head_report *r, const struct material *m, const struct options *o)
{
    static const char *const notes[] = {
        [MEGA_CLASSIFIER] = "Of the likeliest class, on average; each layer sums to 1.",
        [MEGA_LANGUAGE_MODEL] =
            "Of the likeliest next token, on average; each layer sums to 1.",
        [MEGA_MASKED_MODEL] =
            "Of the likeliest token at each hidden place, on average; each layer sums to 1.",
    };
    bool language = m->heads.session.task == NULL;
    if (o->relevance)
        mega_head_report_add(
            r, (struct mega_report_table){ "relevance", "Relevance", "share of the layer",
                   notes[m->heads.session.model->config.architecture], &m->relevance, false,
                   false });
    mega_head_report_add(r, (struct mega_report_table){ "gradient", "Gradient",
                                language ? "nats a token" : "nats a place",
                                "Absolute derivative of a text's loss by a factor of the "
                                "head's output, summed over "
                                "texts, over the tokens that count.",
                                &m->absolute, false, false });
    mega_head_report_add(r,
        (struct mega_report_table){ "signed", "Gradient with its sign",
            language ? "nats a token" : "nats a place",
            "Minus this is what closing the head would add to the loss, to first order: where "
            "it "
            "is negative (orange) the head would be missed, where positive (blue) it stands in "
            "the way.",
            &m->with_sign, true, false });
    if (o->ablation)
        mega_head_report_add(r, (struct mega_report_table){ "ablation", "Ablation",
                                    language ? "nats a token" : "nats a text",
                                    "What closing the head alone adds to the loss; where it is "
                                    "negative (orange) the head "
                                    "stands in the way.",
                                    &m->ablation, true, false });
    r->n_importance = r->n_tables;
}

static void add_what_they_do(struct mega_head_report *r, const struct material *m, bool syntax)
{
    const struct mega_head_functions *f = &m->functions;
    bool rare = false;
    for (int64_t i = 0; i < f->rarest.layers * f->rarest.heads; i++)
        rare |= f->rare_queries[i] > 0;
    const struct mega_report_table table[] = {
        { "confidence", "Confidence", "weight",
            "Mean of a query's largest weight, the end token left out.", &f->confidence, false,
            false },
        { "entropy", "Entropy", "nats", "Of a query's weights, on average.", &f->entropy, false,
            false },
        { "relative_entropy", "Relative entropy", "share",
            "The same, of the logarithm of the keys that the query sees.", &f->relative, false,
            false },
        { "distance", "Distance", "places", "Mean distance to what is looked at.", &f->distance,
            false, false },
        { "position_share", "Position", "share of queries",
            "Queries whose largest weight is at the head's commonest offset.", &f->position,
            false, false },
        { "position_offset", "Offset", "places", "That offset: -1 is the place before.",
            &f->where, true, false },
        { "rarest", "Rarest token", "share of queries",
            "Queries that look most at a text's rarest token, where that is beyond the 500 "
            "most "
            "frequent.",
            &f->rarest, false, false },
        { "rarest_texts", "Rarest token, by texts", "share of texts",
            "Texts most of whose queries look at their rarest token.", &f->majority, false,
            false },
        { "rare_two", "Two rarest tokens", "share of queries", "At one of the two rarest.",
            &f->rare_two, false, false },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mega_head_report_add(r, table[i]);
        /* no text has a rare token */
        if (!strncmp(table[i].name, "rare", 4)) r->table[r->n_tables - 1].hidden = !rare;
    }
    for (int k = 0; syntax && k < MEGA_SYNTAX_SCORES; k++)
        mega_head_report_add(
            r, (struct mega_report_table){ mega_syntax_names[k], mega_syntax_names[k],
                   "share of pairs", "From one end of the dependency to the other.",
                   &m->syntax.score[k], false, false });
    if (m->gated) {
        mega_head_report_add(
            r, (struct mega_report_table){ "gate", "Gate", "",
                   "Of evaluation: 0 is closed, 1 fully open.", &m->gate, false, false });
        mega_head_report_add(
            r, (struct mega_report_table){ "log_a", "log_a", "",
                   "Below -2.4 closed, above 2.4 fully open.", &m->log_a, true, false });
    }
}

/* ---- files ---- */

/* the page's path with another ending */
static mega_status beside(struct mega_text *to, const char *page, const char *ending)
{
    size_t n = strlen(page), html = n > 5 && !strcmp(page + n - 5, ".html") ? 5 : 0;
    mega_text_add_bytes(to, page, n - html);
    mega_text_add(to, "%s", ending);
    return to->failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a file's name") : MEGA_OK;
}

static mega_status write_all(struct mega_head_report *r, const char *page)
{
    struct mega_text json = { 0 }, csv = { 0 };
    mega_status status = beside(&json, page, ".json");
    if (!status) status = beside(&csv, page, ".csv");
    if (!status) status = mega_head_report_write(r, page);
    if (!status) status = mega_head_report_json(r, json.data);
    if (!status) status = mega_head_report_csv(r, csv.data);
    if (!status) printf("%s\n%s\n%s\n", page, json.data, csv.data);
    mega_text_done(&json);
    mega_text_done(&csv);
    return status;
}

static mega_status write(
    struct material *m, const struct options *o, const char *path, const char *file)
{
    static const char *const splits[] = { "train", "valid", "test" };
    const char *name = strrchr(path, '/');
    char data[160];
    snprintf(data, sizeof data, file ? "%.100s" : "split %s of the run's recipe",
        file ? file : splits[o->data.split]);
    struct mega_head_report r = { .name = name && name[1] ? name + 1 : path,
        .data = data,
        .model = m->heads.session.model,
        .loss = m->loss,
        .texts = m->seen,
        .places = m->places,
        .functions = &m->functions,
        .syntax = *o->conllu ? &m->syntax : NULL,
        .removal = &m->removal,
        .history = &m->history,
        .log = &m->log,
        .text = m->texts.text,
        .n_texts = m->texts.n,
        .most_maps = o->maps };
    add_importance(&r, m, o);
    add_what_they_do(&r, m, *o->conllu);
    return write_all(&r, o->out);
}

static void done(struct material *m)
{
    struct mega_head_table *table[] = { &m->absolute, &m->with_sign, &m->ablation,
        &m->relevance, &m->gate, &m->log_a };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) mega_head_table_free(table[i]);
    mega_head_functions_free(&m->functions);
    mega_head_syntax_free(&m->syntax);
    mega_head_removal_free(&m->removal);
    mega_gate_history_free(&m->history);
    mega_run_log_done(&m->log);
    mega_heads_texts_free(&m->texts);
    mega_heads_close(&m->heads);
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct material m = { .loss = 0 };
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    mega_status status = mega_heads_open(&m.heads, line->word[0], file, &o->data);
    if (status) return mega_command_fail(status);
    find_gates(&m);
    status = mega_heads_load(&m.heads, file);
    if (!status) status = gather(&m, o, line->word[0]);
    if (!status) status = write(&m, o, line->word[0], file);
    done(&m);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_heads_report = {
    .name = "heads report",
    .summary = "Write one HTML page about a model's attention heads",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "The page needs nothing from the network: its drawings are inline, so is a short "
        "script "
        "that tells the weight under the pointer, and the page forbids everything else. It "
        "shows the heads' importance and functions as matrices, in the order of their numbers "
        "or "
        "of importance, the ends of the ranking, of a run which gates closed when, and "
        "attention "
        "maps of the first texts; maps of more than 48 places are drawn as blocks of several. "
        "Layers and heads count from 0. The numbers stand in a JSON and a CSV file beside it.",
    .run = run,
};
