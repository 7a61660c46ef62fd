/* mega bench variants: the same small language model in every variant, for equal tokens. */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/variant_table.h"
#include "train/stop.h"

struct options {
    const char *recipes, *base, *out, *markdown, *csv, *jsonl;
    struct mega_texts set;
    int64_t seeds, steps;
    double seconds;
    bool list;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "recipes", MEGA_OPTION_TEXT, AT(recipes), "", 0, 0, NULL, "FOLDER",
        "one recipe a variant; by default recipes/variants beside this program", 0 },
    { "base", MEGA_OPTION_TEXT, AT(base), "base", 0, 0, NULL, "NAME",
        "the recipe that all others are compared with", 0 },
    { "out", MEGA_OPTION_TEXT, AT(out), "runs/variants", 0, 0, NULL, "FOLDER",
        "run folders and results.jsonl", 'o' },
    { "seeds", MEGA_OPTION_INT, AT(seeds), "3", 1, 64, NULL, "N",
        "trainings of each: seeds 1 "
        "to N",
        0 },
    { "steps", MEGA_OPTION_INT, AT(steps), "0", 0, 1e9, NULL, "N",
        "updates of each training; 0: as the recipes say", 0 },
    { "set", MEGA_OPTION_TEXTS, AT(set), "", 0, 0, NULL, "KEY=VALUE",
        "change a key of all recipes; may be given often", 0 },
    { "seconds", MEGA_OPTION_REAL, AT(seconds), "0", 0, 1e9, NULL, "S",
        "give up a training that takes longer; 0: never", 0 },
    { "list", MEGA_OPTION_BOOL, AT(list), "false", 0, 0, NULL, NULL,
        "print the variants that there are recipes of, train nothing", 0 },
    { "markdown", MEGA_OPTION_TEXT, AT(markdown), "", 0, 0, NULL, "FILE",
        "the table; by default on standard output, at the end", 0 },
    { "csv", MEGA_OPTION_TEXT, AT(csv), "", 0, 0, NULL, "FILE", "its rows with all digits", 0 },
    { "jsonl", MEGA_OPTION_TEXT, AT(jsonl), "", 0, 0, NULL, "FILE",
        "every training, one JSON object a line", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct bench {
    const struct options *o;
    char self[PATH_MAX], recipes[PATH_MAX], steps[64];
    const char **set; /* those given, and the steps */
    struct mega_texts settings;
    struct mega_variant_setup setup;
    struct mega_names names; /* of the folder */
    struct mega_variant_runs runs;
};

/* ---- before ---- */

/* the recipes beside this program: installed, or of the source tree */
static mega_status find_recipes(struct bench *b)
{
    static const char *const places[] = { "../share/megac/recipes/variants",
        "../recipes/variants" };
    ssize_t size = readlink("/proc/self/exe", b->self, sizeof b->self - 1);
    if (size < 1) return mega_fail_errno("find", "this program");
    b->self[size] = 0;
    if (*b->o->recipes) {
        snprintf(b->recipes, sizeof b->recipes, "%s", b->o->recipes);
        if (mega_path_is_folder(b->recipes)) return MEGA_OK;
        return mega_fail(MEGA_BAD_ARGUMENT, "--recipes: there is no folder %s", b->recipes);
    }
    int beside = (int)(strrchr(b->self, '/') - b->self);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(b->recipes, sizeof b->recipes, "%.*s/%s", beside, b->self, places[i]);
        if (mega_path_is_folder(b->recipes)) return MEGA_OK;
    }
    return mega_fail(MEGA_IO,
        "the variants' recipes are not beside this program: name their folder with --recipes");
}

static mega_status take_settings(struct bench *b)
{
    const struct options *o = b->o;
    b->set = calloc((size_t)o->set.n + 1, sizeof *b->set);
    if (!b->set) return mega_fail(MEGA_NO_MEMORY, "no memory for the settings");
    for (int i = 0; i < o->set.n; i++) b->set[i] = o->set.item[i];
    b->settings = (struct mega_texts){ b->set, o->set.n };
    if (o->steps) {
        snprintf(b->steps, sizeof b->steps, "optim.steps=%lld", (long long)o->steps);
        b->set[b->settings.n++] = b->steps;
    }
    b->setup = (struct mega_variant_setup){ .self = b->self,
        .recipes = b->recipes,
        .out = o->out,
        .set = &b->settings,
        .open = &o->open,
        .limits = { o->seconds, 0 } };
    return mega_folder_list(b->recipes, &b->names);
}

/* "alibi" of "alibi.yaml"; false: no recipe */
static bool recipe_name(const char *file, char name[64])
{
    size_t n = strlen(file);
    if (n <= 5 || n > 68 || strcmp(file + n - 5, ".yaml") != 0) return false;
    snprintf(name, 64, "%.*s", (int)(n - 5), file);
    return true;
}

static mega_status add_variant(struct bench *b, const char *name)
{
    struct mega_variant_runs *runs = &b->runs;
    for (int v = 0; v < runs->variants; v++)
        if (!strcmp(runs->item[v * runs->seeds].name, name)) return MEGA_OK;
    for (int i = 0; i < runs->seeds; i++)
        MEGA_TRY(mega_variant_run_init(
            &runs->item[runs->variants * runs->seeds + i], &b->setup, name, i + 1));
    runs->variants++;
    return MEGA_OK;
}

/* the base, then those named, or all that there are */
static mega_status list_runs(struct bench *b, const struct mega_line *line)
{
    char name[64];
    b->runs.seeds = (int)b->o->seeds;
    size_t most = (size_t)(b->names.n + line->n_words + 1) * (size_t)b->runs.seeds;
    b->runs.item = calloc(most, sizeof *b->runs.item);
    if (!b->runs.item) return mega_fail(MEGA_NO_MEMORY, "no memory for the table");
    MEGA_TRY(add_variant(b, b->o->base));
    for (int i = 0; i < line->n_words; i++) MEGA_TRY(add_variant(b, line->word[i]));
    for (int i = 0; !line->n_words && i < b->names.n; i++)
        if (recipe_name(b->names.item[i], name)) MEGA_TRY(add_variant(b, name));
    return MEGA_OK;
}

/* what an earlier command has measured */
static mega_status recall(struct bench *b)
{
    char path[PATH_MAX];
    struct mega_text text = { 0 };
    snprintf(path, sizeof path, "%.1000s/results.jsonl", b->o->out);
    MEGA_TRY(mega_folder_make(b->o->out));
    if (!mega_path_exists(path)) return MEGA_OK;
    MEGA_TRY(mega_file_read(path, &text));
    for (size_t at = 0, n; at < text.size; at += n + 1) {
        const char *end = memchr(text.data + at, '\n', text.size - at);
        n = end ? (size_t)(end - text.data) - at : text.size - at;
        for (int i = 0; i < b->runs.variants * b->runs.seeds; i++)
            mega_variant_run_recall(&b->runs.item[i], text.data + at, n);
    }
    mega_text_done(&text);
    return MEGA_OK;
}

/* ---- after each training ---- */

/* results of others than those of this table stay in the file */
static mega_status remember(const struct bench *b, const struct mega_variant_run *r)
{
    char path[PATH_MAX];
    struct mega_text text = { 0 };
    snprintf(path, sizeof path, "%.1000s/results.jsonl", b->o->out);
    mega_status status = mega_path_exists(path) ? mega_file_read(path, &text) : MEGA_OK;
    mega_variant_run_print(r, &text);
    if (!status && text.failed)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    if (!status) status = mega_file_write(path, text.data, text.size);
    mega_text_done(&text);
    return status;
}

static mega_status save(const struct bench *b, const char *path,
    void (*add)(struct mega_text *, const struct mega_variant_runs *))
{
    struct mega_text text = { 0 };
    if (!*path) return MEGA_OK;
    add(&text, &b->runs);
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path)
                                     : mega_file_write(path, text.data, text.size);
    mega_text_done(&text);
    return status;
}

static mega_status publish(const struct bench *b)
{
    MEGA_TRY(save(b, b->o->markdown, mega_variant_table_markdown));
    MEGA_TRY(save(b, b->o->csv, mega_variant_table_csv));
    return save(b, b->o->jsonl, mega_variant_table_jsonl);
}

static mega_status show(const struct bench *b)
{
    struct mega_text text = { 0 };
    if (*b->o->markdown) return MEGA_OK;
    mega_variant_table_markdown(&text, &b->runs);
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for the table") : 0;
    if (!status) fwrite(text.data, 1, text.size, stdout);
    mega_text_done(&text);
    return status;
}

/* ---- training ---- */

static void say(const struct mega_variant_run *r)
{
    if (r->done)
        fprintf(stderr, "%s, seed %lld: loss %.4f, %.0f tokens/s\n", r->name,
            (long long)r->seed, r->loss, r->tokens_per_s);
    else
        fprintf(stderr, "%s, seed %lld: %s\n", r->name, (long long)r->seed, r->note);
}

/* seed by seed, so that a machine whose speed drifts treats all alike */
static mega_status measure(struct bench *b)
{
    for (int i = 0; i < b->runs.seeds; i++)
        for (int v = 0; v < b->runs.variants; v++) {
            struct mega_variant_run *r = &b->runs.item[v * b->runs.seeds + i];
            if (r->done) continue;
            MEGA_TRY(mega_variant_run_train(r, &b->setup));
            say(r);
            if (r->done) MEGA_TRY(remember(b, r));
            MEGA_TRY(publish(b));
        }
    MEGA_TRY(publish(b));
    return show(b);
}

static mega_status judge(const struct bench *b)
{
    int broken = 0;
    for (int i = 0; i < b->runs.variants * b->runs.seeds; i++) broken += !b->runs.item[i].done;
    return broken ? mega_fail(MEGA_INTERNAL,
                        "%d trainings did not come to their end: the table says why", broken)
                  : MEGA_OK;
}

static int run(const struct mega_line *line)
{
    struct bench b = { .o = line->options };
    mega_stop_listen();
    mega_status status = find_recipes(&b);
    if (!status) status = take_settings(&b);
    if (!status) status = list_runs(&b, line);
    if (!status && b.o->list)
        for (int v = 0; v < b.runs.variants; v++)
            printf("%s\n", b.runs.item[v * b.runs.seeds].name);
    if (!status && !b.o->list) status = recall(&b);
    if (!status && !b.o->list) status = measure(&b);
    if (!status && !b.o->list) status = judge(&b);
    free(b.runs.item);
    free(b.set);
    mega_names_done(&b.names);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_variants = {
    .name = "bench variants",
    .summary = "Train one small language model in every variant and compare",
    .words = "[VARIANT]...",
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Each recipe of a folder (recipes/variants: a language model of bytes, and one file "
        "for "
        "each variant of mega help variants) is trained with each seed for as many tokens, a "
        "process and a run folder each. The table has the loss with its spread over seeds, and "
        "loss, speed and memory against the base. With names, only those are trained, beside "
        "the base.\n\n"
        "What is finished is kept in results.jsonl of --out: the same command goes on where it "
        "was stopped, also in the middle of a training. A recipe or a setting that has changed "
        "is "
        "trained anew: give it an --out of its own.\n\n"
        "A small model and few tokens tell what is broken and what it costs; of two variants "
        "whose losses differ by less than their spreads they tell nothing.",
    .run = run,
};
