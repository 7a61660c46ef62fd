/* mega eval: loss and accuracy of a classifier on labelled rows, perplexity and bits a byte of
 * a language model on texts, loss and accuracy of a masked one on hidden tokens. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/session.h"
#include "format/node.h"
#include "train/evaluate.h"

struct options {
    int split, precision, context, rows;
    int64_t batch, tokens, length, streams, stride;
    bool json, confusion;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "split", MEGA_OPTION_CHOICE, AT(split), "valid", 0, 0, "train|valid|test", NULL,
        "which file of the run's recipe, where no FILE is given", 0 },
    { "batch", MEGA_OPTION_INT, AT(batch), "64", 1, 1 << 20, NULL, "ROWS",
        "texts in a pass; the result does not depend on it", 'b' },
    { "tokens", MEGA_OPTION_INT, AT(tokens), "0", 0, 1 << 30, NULL, "N",
        "places in a pass at most; 0: no limit", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL, "print one JSON object",
        0 },
    { "confusion", MEGA_OPTION_BOOL, AT(confusion), "false", 0, 0, NULL, NULL,
        "print how often each class was taken for each", 0 },
    { "context", MEGA_OPTION_CHOICE, AT(context), "recipe", 0, 0, "recipe|rows|stream|window",
        NULL,
        "what a language model knows of the text before a token: rows: its own row (--rows, "
        "--length); stream: all of it, carried from step to step; window: a window that moves "
        "on "
        "by --stride tokens",
        0 },
    { "rows", MEGA_OPTION_CHOICE, AT(rows), "recipe", 0, 0, "recipe|" MEGA_TEXT_ROWS, NULL,
        "context rows: how tokens become rows", 0 },
    { "length", MEGA_OPTION_INT, AT(length), "0", 0, 1 << 30, NULL, "N",
        "tokens of a row, of a step of the stream, of a window; 0: as the recipe says", 0 },
    { "streams", MEGA_OPTION_INT, AT(streams), "0", 0, 1 << 20, NULL, "N",
        "context stream, window: the text is cut into so many parts, read side by side; 0: as "
        "the recipe says",
        0 },
    { "stride", MEGA_OPTION_INT, AT(stride), "0", 0, 1 << 30, NULL, "N",
        "context window: tokens that each scores; 0: as the recipe says, else half a window",
        0 },
    MEGA_SESSION_PRECISION_OPTION(AT(precision)),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

static mega_status read_rows(struct mega_session *s, const char *file, enum mega_split split)
{
    if (!file) return mega_classify_load(s->task, split);
    MEGA_TRY(mega_session_read(s, file, true));
    return mega_classify_examples(s->task, split)->n
               ? MEGA_OK
               : mega_fail(MEGA_BAD_FILE, "%s holds no rows", file);
}

/* the share of the largest true class: what an accuracy must beat */
static double majority(const struct mega_tally *t)
{
    int64_t most = 0;
    for (int64_t i = 0; i < t->classes; i++) {
        int64_t n = 0;
        for (int64_t j = 0; j < t->classes; j++) n += t->confusion[i * t->classes + j];
        if (n > most) most = n;
    }
    return t->rows ? (double)most / (double)t->rows : 0;
}

static void print_json(const struct mega_tally *t)
{
    struct mega_text text = { 0 };
    mega_text_add(&text,
        "{\"rows\": %lld, \"correct\": %lld, \"accuracy\": ", (long long)t->rows,
        (long long)t->correct);
    mega_json_add_real(&text, mega_tally_accuracy(t));
    mega_text_add(&text, ", \"loss\": ");
    mega_json_add_real(&text, mega_tally_loss(t));
    mega_text_add(&text, ", \"majority\": ");
    mega_json_add_real(&text, majority(t));
    puts(text.failed ? "" : text.data);
    mega_text_done(&text);
}

static void print_confusion(const struct mega_tally *t, const struct mega_texts *labels)
{
    printf("true \\ predicted");
    for (int64_t j = 0; j < t->classes; j++) printf("\t%s", labels->item[j]);
    for (int64_t i = 0; i < t->classes; i++) {
        printf("\n%s", labels->item[i]);
        for (int64_t j = 0; j < t->classes; j++)
            printf("\t%lld", (long long)t->confusion[i * t->classes + j]);
    }
    printf("\n");
}

/* ---- classes ---- */

static mega_status eval_classes(
    struct mega_session *s, const struct options *o, const char *file, struct mega_tally *t)
{
    enum mega_split split = file ? MEGA_SPLIT_TEST : (enum mega_split)o->split;
    MEGA_TRY(read_rows(s, file, split));
    MEGA_TRY(mega_evaluate(s->run, s->model, s->job, split, o->batch, o->tokens, false, t));
    if (o->json)
        print_json(t);
    else
        printf("%lld rows: accuracy %.4f%% (majority class %.2f%%), loss %.6f nats\n",
            (long long)t->rows, 100 * mega_tally_accuracy(t), 100 * majority(t),
            mega_tally_loss(t));
    if (o->confusion) print_confusion(t, mega_classify_labels(s->task));
    return MEGA_OK;
}

/* ---- texts ---- */

static void adjust(struct mega_corpus_options *c, const struct options *o, const char **file)
{
    if (*file) c->test = (struct mega_texts){ file, 1 };
    if (o->context) c->evaluate = o->context - 1;
    if (o->rows) c->rows = o->rows - 1;
    if (o->length) c->length = c->segment = o->length;
    if (o->streams) c->streams = o->streams;
    if (o->stride) c->stride = o->stride;
}

/* what the first token of a text is guessed from */
static const char *start_rule(const struct mega_job *job)
{
    switch (mega_language_start(job)) {
    case MEGA_START_EOS: return "the end token";
    case MEGA_START_BOS: return "the begin token";
    default: return "none: a text's first token is not scored";
    }
}

static void print_texts_json(const struct mega_tally *t, const struct mega_job *job)
{
    struct mega_text text = { 0 };
    mega_text_add(&text, "{\"tokens\": %lld, \"bytes\": %lld, \"loss\": ", (long long)t->tokens,
        (long long)t->bytes);
    mega_json_add_real(&text, mega_tally_loss(t));
    mega_text_add(&text, ", \"perplexity\": ");
    mega_json_add_real(&text, mega_tally_perplexity(t));
    mega_text_add(&text, ", \"bits_per_byte\": ");
    mega_json_add_real(&text, mega_tally_bits(t));
    mega_text_add(&text, ", \"start\": \"%s\"}", start_rule(job));
    puts(text.failed ? "" : text.data);
    mega_text_done(&text);
}

/* nats and the share that was found, of tokens that are always the same */
static void print_masked(const struct mega_tally *t, const struct options *o)
{
    struct mega_text text = { 0 };
    if (!o->json) {
        printf("%lld masked tokens in %lld rows: loss %.6f nats, accuracy %.4f%%\n",
            (long long)t->tokens, (long long)t->rows, mega_tally_loss(t),
            100 * mega_tally_accuracy(t));
        return;
    }
    mega_text_add(&text,
        "{\"rows\": %lld, \"masked\": %lld, \"correct\": %lld, \"loss\": ", (long long)t->rows,
        (long long)t->tokens, (long long)t->correct);
    mega_json_add_real(&text, mega_tally_loss(t));
    mega_text_add(&text, ", \"accuracy\": ");
    mega_json_add_real(&text, mega_tally_accuracy(t));
    mega_text_add(&text, "}");
    puts(text.failed ? "" : text.data);
    mega_text_done(&text);
}

static mega_status eval_texts(
    struct mega_session *s, const struct options *o, const char *file, struct mega_tally *t)
{
    enum mega_split split = file ? MEGA_SPLIT_TEST : (enum mega_split)o->split;
    adjust(&s->files.language.corpus, o, &file);
    MEGA_TRY(mega_session_open_texts(s));
    MEGA_TRY(mega_job_load(s->job, split));
    MEGA_TRY(mega_evaluate(s->run, s->model, s->job, split, o->batch, o->tokens, false, t));
    if (t->architecture == MEGA_MASKED_MODEL) {
        print_masked(t, o);
        return MEGA_OK;
    }
    if (o->json) {
        print_texts_json(t, s->job);
        return MEGA_OK;
    }
    printf("%lld tokens scored", (long long)t->tokens);
    if (t->bytes) printf(", %lld bytes of text", (long long)t->bytes);
    printf(": loss %.6f nats, perplexity %.4f", mega_tally_loss(t), mega_tally_perplexity(t));
    if (t->bytes) printf(", %.4f bits a byte", mega_tally_bits(t));
    printf("; start: %s\n", start_rule(s->job));
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct mega_session s;
    struct mega_tally tally = { 0 };
    mega_status status = mega_session_open(&s, line->word[0], &o->open, o->precision);
    if (status) return mega_command_fail(status);
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    status = (s.task ? eval_classes : eval_texts)(&s, o, file, &tally);
    mega_tally_done(&tally);
    mega_session_close(&s);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_eval = {
    .name = "eval",
    .summary = "Measure accuracy of a classifier or of masked tokens, a language model's "
               "perplexity",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Of a run folder the best checkpoint is taken. Without FILE the run's recipe "
              "says where the rows are. Metrics are sums over "
              "rows, never means of batches.\n\n"
              "Of a masked language model the tokens that are hidden are drawn by each row's "
              "number alone, with the recipe's shares (task.mask_share, 0.15): the same file "
              "gives the same numbers every time.",
    .run = run,
};
