/* mega bench models: architectures by lengths, ours and the PyTorch peers in turn. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/bench_plot.h"
#include "cli/bench_table.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "cli/open.h"
#include "graph/context.h"
#include "train/stop.h"

struct options {
    const char *models, *lengths, *modes, *problems, *peers, *forms, *folder, *markdown, *csv,
        *jsonl, *svg;
    int64_t rounds, steps, warmup;
    double memory, seconds;
    struct mega_subject common;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)
#define TEXT(name, member, fallback, unit, help)                                               \
    {                                                                                          \
        name, MEGA_OPTION_TEXT, AT(member), fallback, 0, 0, NULL, unit, help, 0                \
    }

static const struct mega_option options[] = {
    TEXT("models", models, "mega,mega-chunk,transformer", "LIST", "architectures"),
    TEXT(
        "lengths", lengths, "1024,2048,4096,8192,16384,32768,65536", "LIST", "places of a row"),
    TEXT("modes", modes, "train,infer", "LIST", "a training step, a forward pass"),
    TEXT("problems", problems, "", "FILE",
        "measure the problems of this file instead, `name key=value ...` a line"),
    TEXT("peers", peers, "", "PYTHON",
        "an interpreter with PyTorch, to measure the peers with it too; by default "
        "MEGA_PEER_PYTHON, none: ours only"),
    TEXT("peer-forms", forms, "", "LIST",
        "forms of the peers: eager, real, compiled, dropout, bf16, or some of these joined by "
        "'-'; by default all that this processor is made for"),
    TEXT("peer-folder", folder, "", "FOLDER",
        "the peers' scripts; by default those installed with this program"),
    { "rounds", MEGA_OPTION_INT, AT(rounds), "3", 1, 1000, NULL, "N",
        "runs of each engine, which take turns", 0 },
    { "steps", MEGA_OPTION_INT, AT(steps), "3", 1, 1e6, NULL, "N", "timed steps of a run", 0 },
    { "warmup", MEGA_OPTION_INT, AT(warmup), "1", 0, 1e6, NULL, "N", "steps before them", 0 },
    { "memory", MEGA_OPTION_REAL, AT(memory), "0", 0, 1e9, NULL, "MB",
        "give up what needs more than so many 10^6 bytes; 0: nine tenths of what is free", 0 },
    { "seconds", MEGA_OPTION_REAL, AT(seconds), "900", 0, 1e9, NULL, "S",
        "give up what takes longer than this for one run; 0: never", 0 },
    MEGA_SUBJECT_OPTIONS(AT(common)),
    TEXT("markdown", markdown, "", "FILE", "the table; by default on standard output"),
    TEXT("csv", csv, "", "FILE", "the table's rows with all digits"),
    TEXT("jsonl", jsonl, "", "FILE", "every run, one JSON object a line"),
    TEXT("svg", svg, "", "FILE", "plots of speed and peak memory by length"),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct bench {
    const struct options *o;
    struct mega_bench_setup setup;
    struct mega_bench_machine machine;
    struct mega_child_limits limits;
    struct mega_engines engines;
    struct mega_subjects subjects;
    struct mega_rows_list rows;
    struct mega_text markdown;
    size_t shown; /* of the Markdown, on standard output */
};

/* ---- before ---- */

/* peaks, and how many threads there are: the peers get as many */
static mega_status look_at_machine(struct bench *b)
{
    mega_context *context;
    MEGA_TRY(mega_open_context(&context, &b->o->open));
    b->machine.load = mega_machine_load();
    mega_machine_cpu(b->machine.cpu);
    mega_status status =
        mega_peak_measure(&context->work, context->limits.isa, 1.5, &b->machine.peak);
    b->setup.threads = context->work.threads;
    mega_context_free(context);
    b->limits.seconds = b->o->seconds;
    b->limits.memory_mb = b->o->memory > 0 ? b->o->memory : 0.9e-6 * (double)mega_memory_free();
    return status;
}

/* the peers' interpreter, or "": ours only */
static const char *find_python(const struct options *o)
{
    const char *python = *o->peers ? o->peers : getenv("MEGA_PEER_PYTHON");
    return python && strcmp(python, "none") != 0 ? python : "";
}

static mega_status prepare(struct bench *b, const struct mega_line *line)
{
    const struct options *o = b->o;
    b->setup = (struct mega_bench_setup){ .python = find_python(o),
        .isa = o->open.isa,
        .rooms = o->open.rooms,
        .steps = (int)o->steps,
        .warmup = (int)o->warmup };
    bool peers = *b->setup.python;
    if (*o->problems)
        MEGA_TRY(mega_subjects_load(&b->subjects, o->problems, line->word, line->n_words));
    else if (line->n_words)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "%s: names of problems need --problems FILE", line->word[0]);
    else
        MEGA_TRY(
            mega_subjects_cross(&b->subjects, &o->common, o->models, o->lengths, o->modes));
    const char *forms = !peers ? "" : *o->forms ? o->forms : mega_engine_forms();
    MEGA_TRY(mega_engines_read(&b->engines, forms));
    MEGA_TRY(mega_bench_setup_find(&b->setup, o->folder, peers));
    MEGA_TRY(mega_rows_list_init(&b->rows, &b->subjects, &b->engines, (int)o->rounds));
    return look_at_machine(b);
}

/* ---- after each group ---- */

static mega_status save(const struct bench *b, const char *path,
    void (*add)(struct mega_text *, const struct bench *))
{
    struct mega_text text = { 0 };
    if (!*path) return MEGA_OK;
    add(&text, b);
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path)
                                     : mega_file_write(path, text.data, text.size);
    mega_text_done(&text);
    return status;
}

static void add_markdown(struct mega_text *to, const struct bench *b)
{
    mega_text_add_bytes(to, b->markdown.data, b->markdown.size);
}

static void add_csv(struct mega_text *to, const struct bench *b)
{
    mega_table_csv(to, &b->rows, &b->machine);
}

static void add_jsonl(struct mega_text *to, const struct bench *b)
{
    mega_table_jsonl(to, &b->rows, &b->machine);
}

static void add_plot(struct mega_text *to, const struct bench *b)
{
    mega_bench_plot(to, &b->rows);
}

/* writes all that there is, so that an interrupted bench keeps it */
static mega_status publish(struct bench *b)
{
    const struct options *o = b->o;
    if (b->markdown.failed) return mega_fail(MEGA_NO_MEMORY, "no memory for the table");
    if (!*o->markdown) {
        fwrite(b->markdown.data + b->shown, 1, b->markdown.size - b->shown, stdout);
        fflush(stdout);
        b->shown = b->markdown.size;
    }
    MEGA_TRY(save(b, o->markdown, add_markdown));
    MEGA_TRY(save(b, o->csv, add_csv));
    MEGA_TRY(save(b, o->jsonl, add_jsonl));
    return save(b, o->svg, add_plot);
}

/* ---- measuring ---- */

static void say(const struct mega_row *row, int round)
{
    fprintf(stderr, "%s, %s, round %d: ", row->subject->name, row->engine->name, round + 1);
    if (row->given_up)
        fprintf(stderr, "%s\n", row->note);
    else
        fprintf(stderr, "%.0f tokens/s\n", row->run[row->n - 1].tokens_per_s);
}

/* rows that are compared: in each round every engine has its turn */
static mega_status measure_group(struct bench *b, struct mega_row *first, int n)
{
    mega_status status = MEGA_OK;
    for (int i = 0; i < n; i++) mega_row_predict(&first[i], &b->rows, &b->limits);
    for (int round = 0; round < b->o->rounds; round++)
        for (int i = 0; i < n && !status; i++) {
            if (first[i].given_up) continue;
            status = mega_row_measure(&first[i], round, &b->setup, &b->limits);
            if (!status) say(&first[i], round);
        }
    for (int i = 0; i < n; i++) {
        struct mega_row_summary s =
            mega_row_summarise(&first[i], &b->rows, b->machine.peak.fma_all);
        mega_table_row(&b->markdown, &first[i], &s);
    }
    return status;
}

static mega_status measure(struct bench *b)
{
    mega_status status = MEGA_OK;
    mega_table_head(&b->markdown, &b->machine);
    for (int i = 0, n; i < b->rows.n && !status; i += n) {
        struct mega_row *first = &b->rows.item[i];
        for (n = 1;
             i + n < b->rows.n && mega_subject_same_group(first->subject, first[n].subject);)
            n++;
        status = measure_group(b, first, n);
        if (status == MEGA_OK || status == MEGA_STOPPED) MEGA_TRY(publish(b));
    }
    /* the message of a stop outlives what is written after it */
    if (status) return status;
    mega_table_foot(&b->markdown, &b->rows, (int)b->o->rounds, &b->setup);
    return publish(b);
}

/* peers may fail, and their rows say so; we may not */
static mega_status judge(const struct bench *b)
{
    int broken = 0;
    for (int i = 0; i < b->rows.n; i++)
        broken += b->rows.item[i].broken && !b->rows.item[i].engine->peer;
    return broken
               ? mega_fail(MEGA_INTERNAL,
                     "%d of our own models could not be measured: the table says why", broken)
               : MEGA_OK;
}

static int run(const struct mega_line *line)
{
    struct bench b = { .o = line->options };
    mega_stop_listen();
    mega_status status = prepare(&b, line);
    if (!status) status = measure(&b);
    if (!status) status = judge(&b);
    mega_rows_list_done(&b.rows);
    mega_subjects_done(&b.subjects);
    mega_text_done(&b.markdown);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_models = {
    .name = "bench models",
    .summary = "Compare architectures by length, ours and PyTorch's, in one table",
    .words = "[PROBLEM]...",
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Training and inference tokens/s, peak memory, utilisation and ratios of Mega, "
        "Mega-chunk and the Transformer at each length. Every run is a process of its own "
        "(mega "
        "bench step, or a script of the peers); in each round all engines of one length take "
        "turns, so that a machine whose speed drifts treats all alike. Ratios are taken within "
        "a round; medians are shown, with the range over rounds.\n\n"
        "The peers are plain PyTorch: Mega as the official code does it (eager, compiled), the "
        "same in real numbers (real, real-compiled), the Transformer by "
        "scaled_dot_product_attention, by its flash kernel (eager, compiled) and with dropout "
        "on the attention weights (dropout). A form that a model does not have is left out; a "
        "peer that fails has a row that says so.\n\n"
        "A file of problems may hold language models (decoder=megalodon, llama, ...), also "
        "making tokens one by one (mode=generate); there are peers of Megalodon, Llama and "
        "GPT-2.\n\n"
        "What needs more memory or time than the limits is given up, and so are longer rows "
        "of the same model on the same engine, or those that a straight line through two "
        "shorter ones puts beyond the limits.\n\n"
        "Files are written after each length, whole. The status is 1 if one of our own models "
        "could not be measured for another reason than the limits.",
    .run = run,
};
