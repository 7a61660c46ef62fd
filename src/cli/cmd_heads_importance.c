/* mega heads importance: tables of what heads matter and do. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/heads_sentences.h"
#include "study/head_relevance.h"

enum { FUNCTIONS = MEGA_HEADS_RANDOM, SYNTAX }; /* stand where random does among methods */

struct options {
    int method, rule;
    bool json, normalise, count_end, skip_border;
    const char *csv, *conllu;
    struct mega_heads_data_options data;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "method", MEGA_OPTION_CHOICE, AT(method), "gradient", 0, 0,
        "gradient|ablation|confidence|weight|relevance|gates|functions|syntax", NULL,
        "what is told: |dL/dgate| of each text; what closing a head adds to the loss; its "
        "largest "
        "weights; norms of its projections; its share in predictions; its trained gate; "
        "functions: confidence, entropy, distance, position, rare tokens; syntax: of "
        "dependencies",
        'm' },
    { "normalise", MEGA_OPTION_BOOL, AT(normalise), "false", 0, 0, NULL, NULL,
        "divide each layer by its norm", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "print one JSON object: a list of heads a layer, null where one was removed", 0 },
    { "csv", MEGA_OPTION_TEXT, AT(csv), "", 0, 0, NULL, "FILE",
        "write layer,head,... there (-: standard output)", 0 },
    { "count-end", MEGA_OPTION_BOOL, AT(count_end), "false", 0, 0, NULL, NULL,
        "methods confidence and functions: the end token counts like any other", 0 },
    { "skip-border", MEGA_OPTION_BOOL, AT(skip_border), "false", 0, 0, NULL, NULL,
        "method functions: position_share is of the queries that have a place at that offset",
        0 },
    { "rule", MEGA_OPTION_CHOICE, AT(rule), "ab", 0, 0, "ab|zplus", NULL,
        "method relevance: by parts with their signs (Voita, Sennrich and Titov, 2021), or by "
        "positive weights alone, as in the code of 2019",
        0 },
    { "conllu", MEGA_OPTION_TEXT, AT(conllu), "", 0, 0, NULL, "FILE",
        "method syntax: parsed sentences in CoNLL-U; --texts takes the first N", 0 },
    MEGA_HEADS_DATA_OPTIONS(AT(data)),
    { 0 },
};

enum { MOST_TABLES = 16 };

/* What a method gives. */
struct found {
    struct mega_head_table table[MOST_TABLES];
    const char *name[MOST_TABLES];
    int n;
};

static struct mega_head_table *next(struct found *f, const char *name)
{
    f->name[f->n] = name;
    f->table[f->n] = (struct mega_head_table){ 0 };
    return &f->table[f->n++];
}

static mega_status find_functions(
    struct mega_heads_session *h, const struct options *o, struct found *f)
{
    struct mega_head_functions t;
    MEGA_TRY(mega_study_functions(&h->data, h->session.model, h->end, o->skip_border, &t));
    struct mega_head_table *const from[] = { &t.confidence, &t.entropy, &t.relative,
        &t.distance, &t.position, &t.where, &t.rarest, &t.rare_two, &t.majority };
    static const char *const names[] = { "confidence", "entropy", "relative_entropy",
        "distance", "position_share", "position_offset", "rarest", "rare_two", "rarest_texts" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *next(f, names[i]) = *from[i];
        *from[i] = (struct mega_head_table){ 0 };
    }
    mega_head_functions_free(&t);
    return MEGA_OK;
}

/* the scores; standard error tells what they are to be held against */
static mega_status find_syntax(
    struct mega_heads_session *h, const struct options *o, struct found *f)
{
    struct mega_head_syntax s;
    MEGA_TRY(mega_heads_syntax(h, o->conllu, o->data.texts, &s));
    for (int i = 0; i < MEGA_SYNTAX_SCORES; i++) {
        *next(f, mega_syntax_names[i]) = s.score[i];
        s.score[i] = (struct mega_head_table){ 0 };
        fprintf(stderr, "%s: %.0f pairs, %.3f at the commonest distance\n",
            mega_syntax_names[i], s.pairs[i], s.baseline[i]);
    }
    mega_head_syntax_free(&s);
    return MEGA_OK;
}

static mega_status find(struct mega_heads_session *h, const struct options *o, struct found *f)
{
    static const char *const names[] = { "gradient", "ablation", "confidence", "weight",
        "relevance", "gate" };
    if (o->method == FUNCTIONS) return find_functions(h, o, f);
    if (o->method == SYNTAX) return find_syntax(h, o, f);
    if (o->method == MEGA_HEADS_GATES) {
        struct mega_head_table *gate = next(f, "gate");
        return mega_study_gates(h->session.model, gate, next(f, "log_a"));
    }
    if (o->method == MEGA_HEADS_RELEVANCE)
        return mega_study_relevance(&h->data, h->session.model, o->rule, next(f, "relevance"));
    mega_model *gated;
    MEGA_TRY(mega_study_gated(&gated, h->session.model));
    mega_status status;
    if (o->method == MEGA_HEADS_GRADIENT) {
        struct mega_head_table *absolute = next(f, "gradient");
        status = mega_study_gradient(&h->data, gated, absolute, next(f, "signed"));
    } else {
        status = mega_study_score(&h->data, (enum mega_head_method)o->method, h->session.model,
            gated, h->end, 1, next(f, names[o->method]));
    }
    mega_model_free(gated);
    return status;
}

static mega_status print(const struct options *o, struct found *f)
{
    struct mega_text text = { 0 }, csv = { 0 };
    const struct mega_head_table *tables[MOST_TABLES];
    mega_status status = MEGA_OK;
    for (int i = 0; i < f->n; i++) {
        tables[i] = &f->table[i];
        if (o->normalise) mega_head_table_normalise(&f->table[i]);
        if (o->json) {
            mega_text_add(&text, i ? ", " : "{");
            mega_head_table_json(&f->table[i], f->name[i], &text);
        } else if (strcmp(o->csv, "-") != 0) {
            mega_text_add(&text, "%s%s\n", i ? "\n" : "", f->name[i]);
            mega_head_table_print(&f->table[i], &text);
        }
    }
    if (o->json) mega_text_add(&text, "}\n");
    if (*o->csv) {
        mega_head_table_csv(tables, f->name, f->n, &csv);
        status = mega_heads_write(o->csv, &csv);
    }
    if (!status && text.size) status = mega_heads_write("-", &text);
    mega_text_done(&text);
    mega_text_done(&csv);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct mega_heads_session h;
    struct found f = { .n = 0 };
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    mega_status status = mega_heads_open_any(&h, line->word[0], file, &o->data);
    if (status) return mega_command_fail(status);
    if (o->count_end) h.end = -1;
    bool data =
        o->method != MEGA_HEADS_GATES && o->method != MEGA_HEADS_WEIGHT && o->method != SYNTAX;
    if (data) status = mega_heads_load(&h, file);
    if (!status) status = find(&h, o, &f);
    if (!status) status = print(o, &f);
    for (int i = 0; i < f.n; i++) mega_head_table_free(&f.table[i]);
    mega_heads_close(&h);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_heads_importance = {
    .name = "heads importance",
    .summary = "Tell how much attention heads matter and what they do",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Layers and heads are counted from 0, heads by the numbers that they had before any "
        "was "
        "removed; '-' stands for one that was.\n\n"
        "gradient: the absolute derivative of each text's loss by a factor of the head's "
        "output, "
        "summed, divided by the tokens that count (Michel et al., 2019); signed: without the "
        "absolute value. Of the functions: confidence is the mean of a query's largest weight, "
        "entropy in nats, relative_entropy of the logarithm of the keys that are seen, "
        "distance "
        "in places, position_share how many queries look to position_offset, rarest and "
        "rare_two how often a head looks at the rarest token of a text, at one of the two "
        "rarest, where that is beyond the 500 most frequent, rarest_texts in how many texts "
        "most of "
        "its queries do. The end token is left out.\n\n"
        "Of the syntax: how often a head looks from one end of a dependency to the other "
        "(nsubj: "
        "from the subject to its verb; nsubj_back: from the verb to its subject), of the pairs "
        "that "
        "the model lets see each other. A head follows a relation if that is at least 0.1 "
        "above "
        "the share at the commonest distance, which standard error tells.",
    .run = run,
};
