/* mega eval: loss and accuracy of a model on labelled rows. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/session.h"
#include "format/node.h"
#include "train/evaluate.h"

struct options {
    int split, precision;
    int64_t batch, tokens;
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

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct mega_session s;
    struct mega_tally tally = { 0 };
    mega_status status = mega_session_open(&s, line->word[0], &o->open, o->precision);
    if (status) return mega_command_fail(status);
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    enum mega_split split = file ? MEGA_SPLIT_TEST : (enum mega_split)o->split;
    status = read_rows(&s, file, split);
    if (!status)
        status = mega_evaluate(s.run, s.model, mega_classify_job(s.task), split, o->batch,
            o->tokens, false, &tally);
    if (!status && o->json)
        print_json(&tally);
    else if (!status)
        printf("%lld rows: accuracy %.4f%% (majority class %.2f%%), loss %.6f nats\n",
            (long long)tally.rows, 100 * mega_tally_accuracy(&tally), 100 * majority(&tally),
            mega_tally_loss(&tally));
    if (!status && o->confusion) print_confusion(&tally, mega_classify_labels(s.task));
    mega_tally_done(&tally);
    mega_session_close(&s);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_eval = {
    .name = "eval",
    .summary = "Measure a model's accuracy and loss on labelled rows",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Of a run folder the best checkpoint is taken. Without FILE the run's recipe "
              "says where the rows are. Metrics are sums over "
              "rows, never means of batches.",
    .run = run,
};
