#include "cli/variant_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "cli/machine.h"
#include "cli/median.h"
#include "cli/words.h"
#include "format/node.h"
#include "format/safetensors.h"
#include "train/report_log.h"
#include "train/run_folder.h"

/* ---- what is run ---- */

mega_status mega_variant_run_init(struct mega_variant_run *r,
    const struct mega_variant_setup *setup, const char *name, int64_t seed)
{
    char path[1280];
    struct mega_text recipe = { 0 };
    *r = (struct mega_variant_run){ .seed = seed };
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(path, sizeof path, "%.1000s/%.64s.yaml", setup->recipes, name);
    if (!mega_path_exists(path))
        return mega_fail(MEGA_BAD_ARGUMENT, "there is no recipe %s", path);
    MEGA_TRY(mega_file_read(path, &recipe));
    r->key = mega_hash(recipe.data, recipe.size);
    for (int i = 0; i < setup->set->n; i++)
        r->key = mega_hash_join(r->key, mega_hash_text(setup->set->item[i]));
    /* a number that JSON keeps */
    r->key >>= 12;
    mega_text_done(&recipe);
    return MEGA_OK;
}

static void folder_of(
    const struct mega_variant_run *r, const struct mega_variant_setup *setup, char out[1280])
{
    snprintf(out, 1280, "%.1000s/%s-s%lld", setup->out, r->name, (long long)r->seed);
}

static void add_flag(struct mega_words *to, const char *name, const char *value)
{
    if (!value || !*value) return;
    mega_words_add(to, "--%s", name);
    mega_words_add(to, "%s", value);
}

static void command_of(const struct mega_variant_run *r, const struct mega_variant_setup *setup,
    struct mega_words *to)
{
    char folder[1280], text[64];
    folder_of(r, setup, folder);
    mega_words_add(to, "%s", setup->self);
    mega_words_add(to, "train");
    mega_words_add(to, "%s/%s.yaml", setup->recipes, r->name);
    add_flag(to, "run", folder);
    add_flag(to, "resume", "auto");
    mega_words_add(to, "--quiet");
    for (int i = 0; i < setup->set->n; i++) add_flag(to, "set", setup->set->item[i]);
    snprintf(text, sizeof text, "seed=%lld", (long long)r->seed);
    add_flag(to, "set", text);
    snprintf(text, sizeof text, "%lld", (long long)setup->open->threads);
    if (setup->open->threads) add_flag(to, "threads", text);
    add_flag(to, "isa", setup->open->isa);
    add_flag(to, "rooms", setup->open->rooms);
}

/* ---- what came of it ---- */

static double last_of(const struct mega_run_log *log, const char *split, const char *quantity)
{
    const struct mega_curve *c = mega_run_log_find(log, split, quantity);
    return c && c->n ? c->at[c->n - 1].value : NAN;
}

static double median_of(const struct mega_curve *c)
{
    double *value = c && c->n ? calloc((size_t)c->n, sizeof *value) : NULL;
    for (int i = 0; value && i < c->n; i++) value[i] = c->at[i].value;
    double median = value ? mega_median(value, c->n) : NAN;
    free(value);
    return median;
}

static double count_parameters(const char *folder)
{
    char model[1280], path[1400];
    struct mega_safetensors s;
    double n = 0;
    if (mega_run_folder_model(folder, model)) return NAN;
    snprintf(path, sizeof path, "%.1279s/model.safetensors", model);
    if (mega_safetensors_open(&s, path)) return NAN;
    for (int i = 0; i < s.n; i++) n += (double)s.tensor[i].count;
    mega_safetensors_close(&s);
    return n;
}

static mega_status read_log(struct mega_variant_run *r, const struct mega_variant_setup *setup)
{
    char folder[1280], path[1400];
    struct mega_run_log log;
    folder_of(r, setup, folder);
    snprintf(path, sizeof path, "%.1279s/log.jsonl", folder);
    MEGA_TRY(mega_run_log_read(&log, path));
    r->loss = last_of(&log, "valid", "loss");
    r->bits_per_byte = last_of(&log, "valid", "bits_per_byte");
    r->tokens_per_s = median_of(mega_run_log_find(&log, "train", "tokens_per_s"));
    r->steps = log.step;
    r->tokens = log.tokens;
    r->parameters = count_parameters(folder);
    mega_run_log_done(&log);
    r->done = isfinite(r->loss);
    if (!r->done) snprintf(r->note, sizeof r->note, "no validation in %.200s", path);
    return MEGA_OK;
}

/* what this program says when it fails: "mega: <message>" */
static const char *message_of(struct mega_text *t)
{
    char *line = t->data ? strstr(t->data, "mega: ") : NULL;
    if (!line) return mega_text_last_line(t);
    line[strcspn(line, "\n")] = 0;
    return line + strlen("mega: ");
}

static void explain(
    struct mega_variant_run *r, struct mega_child *c, const struct mega_child_limits *limits)
{
    if (c->end == MEGA_CHILD_OVER_TIME)
        snprintf(r->note, sizeof r->note, "stopped: took more than %.0f s", limits->seconds);
    else if (c->end == MEGA_CHILD_OVER_MEMORY)
        snprintf(
            r->note, sizeof r->note, "stopped: needed more than %.0f MB", limits->memory_mb);
    else if (c->end == MEGA_CHILD_CRASHED)
        snprintf(
            r->note, sizeof r->note, "ended by signal %d (%s)", c->code, strsignal(c->code));
    else
        snprintf(r->note, sizeof r->note, "%.300s", message_of(&c->err));
}

mega_status mega_variant_run_train(
    struct mega_variant_run *r, const struct mega_variant_setup *setup)
{
    struct mega_words words = { 0 };
    struct mega_child child = { 0 };
    mega_status status = MEGA_OK;
    r->load = mega_machine_load();
    *r->note = 0;
    command_of(r, setup, &words);
    char **argv = mega_words_argv(&words);
    if (!argv)
        status = mega_fail(MEGA_NO_MEMORY, "no memory for a command line");
    else
        status = mega_child_run(&child, argv, &setup->limits);
    if (!status && child.end == MEGA_CHILD_STOPPED)
        status = mega_fail(MEGA_STOPPED,
            "stopped: the same command goes on where this one was; finished runs are kept");
    else if (!status && child.end == MEGA_CHILD_DONE)
        status = read_log(r, setup);
    else if (!status)
        explain(r, &child, &setup->limits);
    r->peak_mb = child.peak_mb;
    mega_child_done(&child);
    mega_words_done(&words);
    free(argv);
    return status;
}

/* ---- lines ---- */

/* numbers of a line, in its order */
static const struct {
    const char *key;
    size_t offset;
} numbers[] = { { "loss", offsetof(struct mega_variant_run, loss) },
    { "bits_per_byte", offsetof(struct mega_variant_run, bits_per_byte) },
    { "tokens_per_s", offsetof(struct mega_variant_run, tokens_per_s) },
    { "tokens", offsetof(struct mega_variant_run, tokens) },
    { "steps", offsetof(struct mega_variant_run, steps) },
    { "parameters", offsetof(struct mega_variant_run, parameters) },
    { "peak_mb", offsetof(struct mega_variant_run, peak_mb) },
    { "load", offsetof(struct mega_variant_run, load) } };

void mega_variant_run_print(const struct mega_variant_run *r, struct mega_text *to)
{
    mega_text_add(to, "{\"variant\": ");
    mega_json_add_text(to, r->name, strlen(r->name));
    mega_text_add(to, ", \"seed\": %lld, \"key\": %lld", (long long)r->seed, (long long)r->key);
    if (*r->note) {
        mega_text_add(to, ", \"failed\": ");
        mega_json_add_text(to, r->note, strlen(r->note));
    }
    for (size_t i = 0; r->done && i < sizeof numbers / sizeof *numbers; i++) {
        mega_text_add(to, ", \"%s\": ", numbers[i].key);
        mega_json_add_real(
            to, *(const double *)(const void *)((const char *)r + numbers[i].offset));
    }
    mega_text_add(to, "}\n");
}

void mega_variant_run_recall(struct mega_variant_run *r, const char *line, size_t n)
{
    struct mega_document d;
    if (mega_json_parse(&d, "results", line, n)) return;
    const struct mega_node *name = mega_node_find(d.root, "variant"),
                           *seed = mega_node_find(d.root, "seed"),
                           *key = mega_node_find(d.root, "key"),
                           *loss = mega_node_find(d.root, "loss");
    if (name && seed && key && loss && name->kind == MEGA_NODE_TEXT &&
        !strcmp(name->text, r->name) && seed->integer == r->seed &&
        key->integer == (int64_t)r->key && loss->kind >= MEGA_NODE_INT &&
        loss->kind <= MEGA_NODE_REAL) {
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            const struct mega_node *v = mega_node_find(d.root, numbers[i].key);
            bool known = v && (v->kind == MEGA_NODE_INT || v->kind == MEGA_NODE_REAL);
            *(double *)(void *)((char *)r + numbers[i].offset) = known ? v->real : NAN;
        }
        r->done = true;
    }
    mega_document_done(&d);
}
