/* mega heads report: one HTML page about a model's heads. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/heads_session.h"
#include "cli/heads_texts.h"
#include "study/head_relevance.h"
#include "study/head_report.h"

struct options {
    const char *out;
    int64_t show;
    bool relevance;
    struct mega_heads_data_options data;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "out", MEGA_OPTION_TEXT, AT(out), "heads.html", 0, 0, NULL, "FILE", "where the page goes",
        'o' },
    { "show", MEGA_OPTION_INT, AT(show), "1", 0, 100, NULL, "N",
        "texts whose attention maps are shown, the first of the data", 0 },
    { "relevance", MEGA_OPTION_BOOL, AT(relevance), "false", 0, 0, NULL, NULL,
        "also the heads' share in predictions, which takes long", 0 },
    MEGA_HEADS_DATA_OPTIONS(AT(data)),
    { 0 },
};

/* All that the page shows. */
struct material {
    struct mega_heads_session heads;
    struct mega_head_table absolute, with_sign, relevance;
    struct mega_head_functions functions;
    struct mega_gate_history history;
    struct mega_heads_texts texts;
    double loss;
};

static mega_status read_history(struct material *m, const char *path)
{
    char log[1400];
    struct mega_model_heads h;
    snprintf(log, sizeof log, "%.1200s/log.jsonl", path);
    MEGA_TRY(mega_model_heads_find(&h, m->heads.session.model));
    mega_status status = mega_gate_history_read(&m->history, log, &h);
    mega_model_heads_done(&h);
    return status;
}

static mega_status gather(struct material *m, const struct options *o, const char *path)
{
    struct mega_heads_session *h = &m->heads;
    const mega_model *model = h->session.model;
    mega_model *gated;
    MEGA_TRY(mega_study_loss(&h->data, model, &m->loss));
    MEGA_TRY(mega_study_gated(&gated, model));
    mega_status status = mega_study_gradient(&h->data, gated, &m->absolute, &m->with_sign);
    mega_model_free(gated);
    if (!status && o->relevance)
        status = mega_study_relevance(&h->data, model, false, &m->relevance);
    if (!status) status = mega_study_functions(&h->data, model, h->end, &m->functions);
    if (!status) status = read_history(m, path);
    return status ? status : mega_heads_texts_take(&m->texts, h, o->show);
}

static mega_status write(struct material *m, const struct options *o, const char *path)
{
    const char *name = strrchr(path, '/');
    struct mega_head_report r = { .name = name && name[1] ? name + 1 : path,
        .model = m->heads.session.model,
        .loss = m->loss,
        .table = { &m->absolute, &m->with_sign, &m->relevance },
        .title = { "Gradient", "Gradient with its sign", "Relevance" },
        .n_tables = 2 + o->relevance,
        .functions = &m->functions,
        .history = &m->history,
        .text = m->texts.text,
        .n_texts = m->texts.n };
    return mega_head_report_write(&r, o->out);
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct material m = { .loss = 0 };
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    mega_status status = mega_heads_open(&m.heads, line->word[0], file, &o->data);
    if (status) return mega_command_fail(status);
    status = mega_heads_load(&m.heads, file);
    if (!status) status = gather(&m, o, line->word[0]);
    if (!status) status = write(&m, o, line->word[0]);
    mega_head_table_free(&m.absolute);
    mega_head_table_free(&m.with_sign);
    mega_head_table_free(&m.relevance);
    mega_head_functions_free(&m.functions);
    mega_gate_history_free(&m.history);
    mega_heads_texts_free(&m.texts);
    mega_heads_close(&m.heads);
    if (status) return mega_command_fail(status);
    printf("%s\n", o->out);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_heads_report = {
    .name = "heads report",
    .summary = "Write one HTML page about a model's attention heads",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "The page needs nothing from the network and has no script. It shows the heads' "
              "importance and functions as matrices, of a run which gates closed when, and "
              "attention maps of the first texts; maps of long texts are drawn as blocks of "
              "several places.",
    .run = run,
};
