/* mega bench context: what a token costs a language model after a short context and a long one.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/bench_context.h"
#include "cli/bench_model.h"
#include "cli/command.h"
#include "cli/language.h"
#include "cli/machine.h"
#include "cli/open.h"
#include "cli/words.h"
#include "format/node.h"
#include "graph/context.h"
#include "train/stop.h"

struct options {
    const char *decoders, *contexts, *markdown, *csv, *jsonl;
    int64_t rounds, read, make;
    int precision;
    double seconds;
    struct mega_bench_model model;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)
#define TEXT(name, member, fallback, unit, help)                                               \
    {                                                                                          \
        name, MEGA_OPTION_TEXT, AT(member), fallback, 0, 0, NULL, unit, help, 0                \
    }
#define COUNT(name, member, fallback, most, unit, help)                                        \
    {                                                                                          \
        name, MEGA_OPTION_INT, AT(member), fallback, 1, most, NULL, unit, help, 0              \
    }
#define SIZE(name, member, fallback, unit, help)                                               \
    MEGA_BENCH_MODEL_INT(AT(model), name, member, fallback, unit, help)

static const struct mega_option options[] = {
    TEXT("decoders", decoders, "mega,megalodon", "LIST",
        "models of random weights, where no MODEL is given: " MEGA_DECODER_CHOICES),
    TEXT("contexts", contexts, "1024,102400,1048576", "LIST",
        "tokens that were read before; multiples of the chunk compare like with like"),
    COUNT("read", read, "4096", 1 << 30, "N", "tokens that are read on the clock"),
    COUNT("make", make, "512", 1 << 30, "N", "tokens that are made on the clock, one by one"),
    COUNT("rounds", rounds, "5", 1000, "N", "in each every context has its turn"),
    { "seconds", MEGA_OPTION_REAL, AT(seconds), "0", 0, 1e9, NULL, "S",
        "give up a context whose reading takes longer; 0: never", 0 },
    { "precision", MEGA_OPTION_CHOICE, AT(precision), "float32", 0, 0, MEGA_PRECISION_CHOICES,
        NULL, "of activations", 0 },
    SIZE("layers", layers, "6", "N", "blocks"),
    SIZE("width", width, "256", "D", "model width"),
    SIZE("values", values, "512", "E", "value width of Mega and Megalodon"),
    SIZE("keys", keys, "128", "Z", "query and key width of these"),
    SIZE("ffn", ffn, "768", "F", "feed-forward width"),
    SIZE("ema", ema, "16", "N", "EMA states a channel"),
    SIZE("chunk", chunk, "512", "C", "attention window; 0: full attention"),
    SIZE("heads", heads, "1", "H", "heads of Megalodon, Llama and GPT-2"),
    SIZE("kv-heads", kv_heads, "0", "G", "heads of keys and values; 0: as many"),
    SIZE("groups", groups, "32", "G", "Megalodon: groups of the timestep norm"),
    SIZE("vocab", vocab, "257", "V", "ids"),
    TEXT("markdown", markdown, "", "FILE", "the table; by default on standard output"),
    TEXT("csv", csv, "", "FILE", "the table's rows with all digits"),
    TEXT("jsonl", jsonl, "", "FILE", "every row with its rounds, one JSON object a line"),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct bench {
    const struct options *o;
    struct mega_context_plan plan;
    mega_context *context;
    char cpu[128];
    int models;
    struct mega_text markdown, csv, jsonl;
    size_t shown; /* of the Markdown, on standard output */
};

/* ---- before ---- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static mega_status read_contexts(struct mega_context_plan *p, const char *list)
{
    struct mega_words words = { 0 };
    mega_status status = MEGA_OK;
    mega_words_split(&words, list);
    for (const char *w = mega_words_first(&words); w && !status;
         w = mega_words_next(&words, w)) {
        char *end;
        long long n = strtoll(w, &end, 10);
        if (*end || n < 1 || n > 1 << 30)
            status = mega_fail(MEGA_BAD_ARGUMENT,
                "--contexts: '%s': expected a whole number from 1 to 2^30", w);
        else if (p->n == MEGA_CONTEXTS)
            status = mega_fail(
                MEGA_BAD_ARGUMENT, "--contexts: expected at most %d of them", MEGA_CONTEXTS);
        else
            p->context[p->n++] = n;
    }
    if (!status && words.text.failed) status = mega_fail(MEGA_NO_MEMORY, "no memory");
    if (!status && !p->n)
        status = mega_fail(MEGA_BAD_ARGUMENT, "--contexts: expected at least one");
    mega_words_done(&words);
    qsort(p->context, (size_t)p->n, sizeof *p->context, by_size);
    return status;
}

static mega_status prepare(struct bench *b)
{
    const struct options *o = b->o;
    b->plan = (struct mega_context_plan){ .read = o->read,
        .make = o->make,
        .rounds = (int)o->rounds,
        .precision = o->precision,
        .seconds = o->seconds };
    MEGA_TRY(read_contexts(&b->plan, o->contexts));
    if (o->model.vocab < 2) return mega_fail(MEGA_BAD_ARGUMENT, "--vocab: expected at least 2");
    mega_machine_cpu(b->cpu);
    return mega_open_context(&b->context, &o->open);
}

/* ---- the table ---- */

static void add_heads(struct bench *b)
{
    mega_text_add(&b->markdown,
        "%s, %d threads, load %.2f before.\n\n"
        "| model | context | state, bytes | read: us/token (min..max) | over the first | "
        "resident MB | made: us/token (min..max) | over the first | resident MB | |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
        b->cpu, mega_context_threads(b->context), mega_machine_load());
    mega_text_add(&b->csv,
        "model,context,state_bytes,read_us,read_min,read_max,read_over_first,read_resident_mb,"
        "make_us,make_min,make_max,make_over_first,make_resident_mb,note\n");
}

static void add_times(struct mega_text *to, const struct mega_context_summary *s, double bytes)
{
    mega_text_add(to, " %.1f (%.1f..%.1f) |", s->us, s->least, s->most);
    if (isnan(s->ratio))
        mega_text_add(to, " - |");
    else
        mega_text_add(to, " %.2f |", s->ratio);
    mega_text_add(to, " %.1f |", bytes * 1e-6);
}

static void add_markdown(struct mega_text *to, const char *name,
    const struct mega_context_row *row, const struct mega_context_summary s[2])
{
    mega_text_add(to, "| %s | %lld |", name, (long long)row->context);
    if (*row->note) {
        mega_text_add(to, " - | - | - | - | - | - | - | %s |\n", row->note);
        return;
    }
    mega_text_add(to, " %lld |", (long long)row->state);
    add_times(to, &s[0], row->read_memory);
    add_times(to, &s[1], row->make_memory);
    mega_text_add(to, " |\n");
}

static void add_field(struct mega_text *to, double value)
{
    mega_text_add(to, ",");
    if (!isnan(value)) mega_json_add_real(to, value);
}

static void add_csv(struct mega_text *to, const char *name, const struct mega_context_row *row,
    const struct mega_context_summary s[2])
{
    bool none = *row->note;
    mega_text_add(to, "\"%s\",%lld,", name, (long long)row->context);
    if (!none) mega_text_add(to, "%lld", (long long)row->state);
    for (int made = 0; made < 2; made++) {
        double bytes = made ? row->make_memory : row->read_memory;
        const double fields[] = { s[made].us, s[made].least, s[made].most, s[made].ratio,
            none ? NAN : bytes * 1e-6 };
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) add_field(to, fields[i]);
    }
    mega_text_add(to, ",\"%s\"\n", row->note);
}

static void add_list(struct mega_text *to, const char *key, const double *value, int n)
{
    mega_text_add(to, ", \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        mega_text_add(to, i ? ", " : "");
        mega_json_add_real(to, value[i]);
    }
    mega_text_add(to, "]");
}

static void add_json(struct bench *b, const char *name, const struct mega_context_row *row)
{
    struct mega_text *to = &b->jsonl;
    mega_text_add(to, "{\"model\": ");
    mega_json_add_text(to, name, strlen(name));
    mega_text_add(to, ", \"context\": %lld", (long long)row->context);
    if (*row->note) {
        mega_text_add(to, ", \"note\": \"%s\"}\n", row->note);
        return;
    }
    mega_text_add(to,
        ", \"state_bytes\": %lld, \"read_resident\": %.0f, \"make_resident\": %.0f",
        (long long)row->state, row->read_memory, row->make_memory);
    add_list(to, "read_us", row->read_us, b->plan.rounds);
    add_list(to, "make_us", row->make_us, b->plan.rounds);
    mega_text_add(to, "}\n");
}

static void add_result(struct bench *b, const char *name, const struct mega_context_result *r)
{
    for (int i = 0; i < r->n; i++) {
        const struct mega_context_summary s[2] = { mega_context_summarise(r, i, false),
            mega_context_summarise(r, i, true) };
        add_markdown(&b->markdown, name, &r->row[i], s);
        add_csv(&b->csv, name, &r->row[i], s);
        add_json(b, name, &r->row[i]);
    }
}

static void add_foot(struct bench *b)
{
    const struct options *o = b->o;
    mega_text_add(&b->markdown,
        "\nOne text, %s. Read: %lld tokens after the context; made: %lld, one by one; medians "
        "of %lld rounds, in each of which every context has its turn, and of the ratios within "
        "a round.\n",
        mega_precision_type(o->precision) == MEGA_BF16 ? "bf16" : "float32", (long long)o->read,
        (long long)o->make, (long long)o->rounds);
}

static mega_status save(const char *path, const struct mega_text *text)
{
    return *path ? mega_file_write(path, text->data, text->size) : MEGA_OK;
}

/* after each model, so that an interrupted bench keeps what there is */
static mega_status publish(struct bench *b)
{
    if (b->markdown.failed || b->csv.failed || b->jsonl.failed)
        return mega_fail(MEGA_NO_MEMORY, "no memory for the table");
    if (!*b->o->markdown) {
        fwrite(b->markdown.data + b->shown, 1, b->markdown.size - b->shown, stdout);
        fflush(stdout);
        b->shown = b->markdown.size;
    }
    MEGA_TRY(save(b->o->markdown, &b->markdown));
    MEGA_TRY(save(b->o->csv, &b->csv));
    return save(b->o->jsonl, &b->jsonl);
}

/* ---- models ---- */

static mega_status measure(struct bench *b, const char *name, const mega_model *m)
{
    struct mega_context_result result;
    if (m->config.architecture != MEGA_LANGUAGE_MODEL)
        return mega_fail(MEGA_UNSUPPORTED, "%s: a classifier, expected a language model", name);
    MEGA_TRY(mega_context_measure(&result, b->context, m, &b->plan));
    add_result(b, name, &result);
    mega_context_result_done(&result);
    b->models++;
    return publish(b);
}

static mega_status measure_given(struct bench *b, const char *path)
{
    char folder[1280];
    mega_model *m;
    MEGA_TRY(mega_language_path(path, folder));
    MEGA_TRY(mega_model_load(&m, folder));
    mega_status status = measure(b, path, m);
    mega_model_free(m);
    return status;
}

/* a model of random weights, with positions for the longest context and what follows it */
static mega_status measure_random(struct bench *b, const char *decoder)
{
    struct mega_bench_model sizes = b->o->model;
    struct mega_model_config config;
    mega_model *m;
    int which = mega_choice_find(MEGA_DECODER_CHOICES, decoder);
    if (which < 0)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "--decoders: '%s': expected " MEGA_DECODER_CHOICES, decoder);
    sizes.decoder = 1 + which;
    sizes.norm = mega_choice_find(MEGA_NORM_CHOICES, "scalenorm");
    sizes.swiglu = 1;
    int64_t longest = b->plan.context[b->plan.n - 1] + b->o->read + b->o->make;
    MEGA_TRY(mega_bench_model_configure(&sizes, longest, &config));
    MEGA_TRY(mega_model_new(&m, &config, true, false));
    mega_store_fill(&m->store, 1);
    mega_status status = measure(b, decoder, m);
    mega_model_free(m);
    return status;
}

static mega_status measure_all(struct bench *b, const struct mega_line *line)
{
    struct mega_words words = { 0 };
    mega_status status = MEGA_OK;
    for (int i = 0; i < line->n_words && !status; i++) status = measure_given(b, line->word[i]);
    if (line->n_words || status) return status;
    mega_words_split(&words, b->o->decoders);
    for (const char *w = mega_words_first(&words); w && !status; w = mega_words_next(&words, w))
        status = measure_random(b, w);
    if (!status && !words.n)
        status = mega_fail(MEGA_BAD_ARGUMENT, "--decoders: expected at least one");
    mega_words_done(&words);
    return status;
}

static int run(const struct mega_line *line)
{
    struct bench b = { .o = line->options };
    mega_stop_listen();
    mega_status status = prepare(&b);
    if (!status) add_heads(&b);
    if (!status) status = measure_all(&b, line);
    if (!status) add_foot(&b);
    if (!status) status = publish(&b);
    mega_context_free(b.context);
    mega_text_done(&b.markdown);
    mega_text_done(&b.csv);
    mega_text_done(&b.jsonl);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_context = {
    .name = "bench context",
    .summary = "What a token costs after a short context and a long one",
    .words = "[MODEL]...",
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "MODEL is a run, a model folder, or a model of another program; without any, models of "
        "random weights and the sizes of the flags are measured, --decoders. Flags that a "
        "model has no use for are not heeded.\n\n"
        "A text of random tokens is read. After each of --contexts its state is kept; the "
        "table says how many bytes the state of one text takes, what is resident in memory "
        "then and after tokens were made, and what one token costs: of --read that are read "
        "in pieces, and of --make that are made one by one. In each round every context has "
        "its turn, from its own state, so that a machine whose speed drifts treats all alike; "
        "medians are shown, with the range over rounds, and the median of the ratios to the "
        "first context within a round.\n\n"
        "The state of Mega and Megalodon with chunks is of one size, and so is the time of a "
        "token. Full attention (--chunk 0) keeps every place, and reading takes the square of "
        "the context: give it shorter --contexts, or --seconds.",
    .run = run,
};
