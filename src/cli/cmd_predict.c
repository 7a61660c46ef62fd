/* mega predict: a label and probabilities for every row. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "cli/command.h"
#include "cli/session.h"
#include "format/node.h"
#include "task/feed.h"

struct options {
    int precision;
    int64_t batch, tokens;
    bool json;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "batch", MEGA_OPTION_INT, AT(batch), "32", 1, 1 << 20, NULL, "ROWS",
        "texts in a pass; the result does not depend on it", 'b' },
    { "tokens", MEGA_OPTION_INT, AT(tokens), "0", 0, 1 << 30, NULL, "N",
        "places in a pass at most; 0: no limit", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "one JSON object a row instead of tab-separated fields", 0 },
    MEGA_SESSION_PRECISION_OPTION(AT(precision)),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

static void softmax(const float *logit, int64_t n, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) most = fmax(most, (double)logit[j]);
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp((double)logit[j] - most);
    for (int64_t j = 0; j < n; j++) p[j] /= sum;
}

static int64_t largest(const double *p, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (p[j] > p[best]) best = j;
    return best;
}

/* a name in a field: what would end it is written as in JSON */
static void add_field(struct mega_text *to, const char *name)
{
    for (; *name; name++)
        mega_text_add(to, *name == '\t' ? "\\t" : *name == '\r' ? "\\r" : "%c", *name);
}

static void print_row(
    const struct mega_texts *labels, const double *p, bool json, struct mega_text *to)
{
    int64_t best = largest(p, labels->n);
    const char *name = labels->item[best];
    mega_text_clear(to);
    if (json) {
        mega_text_add(to, "{\"label\": ");
        mega_json_add_text(to, name, strlen(name));
        mega_text_add(to, ", \"probability\": {");
    } else {
        add_field(to, name);
    }
    for (int j = 0; j < labels->n; j++) {
        if (json) {
            if (j) mega_text_add(to, ", ");
            mega_json_add_text(to, labels->item[j], strlen(labels->item[j]));
            mega_text_add(to, ": %.9g", p[j]);
        } else {
            mega_text_add(to, "\t%.6f", p[j]);
        }
    }
    mega_text_add(to, json ? "}}\n" : "\n");
    if (!to->failed) fwrite(to->data, 1, to->size, stdout);
}

static mega_status predict_batch(
    struct mega_session *s, const struct mega_batch *b, bool json, struct mega_text *line)
{
    int64_t classes = s->model->config.task.classes;
    MEGA_TRY(mega_run_begin(s->run, &(struct mega_run_args){ 0 }));
    mega_tensor *logits = mega_classify_logits(s->run, s->model, b);
    float *values = mega_run_memory(s->run, (size_t)(b->n * classes) * sizeof *values);
    double *p = mega_run_memory(s->run, (size_t)classes * sizeof *p);
    if (p && !mega_run_read(s->run, logits, values))
        for (int64_t i = 0; i < b->n; i++) {
            softmax(values + i * classes, classes, p);
            print_row(mega_classify_labels(s->task), p, json, line);
        }
    return mega_run_end(s->run);
}

static mega_status predict(struct mega_session *s, const struct options *o)
{
    struct mega_feed *feed;
    struct mega_text line = { 0 };
    MEGA_TRY(mega_feed_open(&feed, s->job, MEGA_SPLIT_TEST, o->batch, o->tokens));
    mega_status status = MEGA_OK;
    for (struct mega_batch *b; !status && !ferror(stdout);) {
        status = mega_feed_next(feed, &b);
        if (status || !b) break;
        status = predict_batch(s, b, o->json, &line);
    }
    mega_text_done(&line);
    mega_feed_close(feed);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *file = line->n_words > 1 ? line->word[1] : "-";
    struct mega_session s;
    mega_status status = mega_session_open(&s, line->word[0], &o->open, o->precision);
    if (status) return mega_command_fail(status);
    status = mega_session_need_classes(&s, "predict");
    if (!status) status = mega_session_read(&s, file, false);
    if (!status) status = predict(&s, o);
    mega_session_close(&s);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_predict = {
    .name = "predict",
    .summary = "Classify rows: a label and the probability of every class",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "One line for each row, in order: the label, then the probabilities in the order "
              "of the model's labels (config.json), separated by "
              "tabs; with --json an object. Rows are read as in training, labels among them "
              "are ignored; a file of a single column needs no header. "
              "ListOps rows may be written with LRA's brackets or without.\n\n"
              "Texts longer than the model's longest are cut there, as in training. An empty "
              "text is a row like any other: no token speaks, and the "
              "answer is what the head says to nothing.",
    .run = run,
};
