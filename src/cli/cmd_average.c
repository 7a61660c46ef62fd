/* mega average: the arithmetic mean of checkpoints. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "model/foreign.h"
#include "task/lm.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

struct options {
    int64_t last;
};

static const struct mega_option options[] = {
    { "last", MEGA_OPTION_INT, offsetof(struct options, last), "0", 0, 1000, NULL, "N",
        "average the newest N checkpoints of the one run given", 'n' },
    { 0 },
};

/* sums in double: one number for each of the model's, parameters first, then buffers */
static void add(const mega_model *m, double *sum)
{
    for (const struct mega_param *p = m->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count; i++)
            *sum++ += (double)((const float *)p->value.data)[i];
    for (const struct mega_cell *c = m->store.first_cell; c; c = c->next)
        for (int64_t i = 0; c->kind == MEGA_CELL_MODEL && i < mega_count(&c->value); i++)
            *sum++ += mega_get(&c->value, i / mega_width(&c->value), i % mega_width(&c->value));
}

static void put(mega_model *m, const double *sum, double by)
{
    for (struct mega_param *p = m->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] = (float)(*sum++ * by);
    for (struct mega_cell *c = m->store.first_cell; c; c = c->next)
        for (int64_t i = 0; c->kind == MEGA_CELL_MODEL && i < mega_count(&c->value); i++)
            mega_put(
                &c->value, i / mega_width(&c->value), i % mega_width(&c->value), *sum++ * by);
}

static int64_t numbers(const mega_model *m)
{
    int64_t n = m->store.numbers;
    for (const struct mega_cell *c = m->store.first_cell; c; c = c->next)
        if (c->kind == MEGA_CELL_MODEL) n += mega_count(&c->value);
    return n;
}

/* ---- the same model? ---- */

static bool same(const struct mega_node *a, const struct mega_node *b)
{
    struct mega_text x = { 0 }, y = { 0 };
    mega_json_add_node(&x, a, 0);
    mega_json_add_node(&y, b, 0);
    bool alike = !x.failed && !y.failed && x.size == y.size && !memcmp(x.data, y.data, x.size);
    mega_text_done(&x);
    mega_text_done(&y);
    return alike;
}

static void add_value(struct mega_text *to, const struct mega_node *n)
{
    if (n)
        mega_json_add_node(to, n, 0);
    else
        mega_text_add(to, "absent");
}

/* adds "model.width is 12 and 16" for the first key that differs; nothing if all are alike */
static void compare(const struct mega_node *a, const struct mega_node *b, const char *path,
    struct mega_text *difference)
{
    if (a && b && same(a, b)) return;
    if (a && b && a->kind == MEGA_NODE_LIST) {
        mega_text_add(difference, "%s differ", path);
        return;
    }
    if (!a || !b || a->kind != MEGA_NODE_MAP || b->kind != MEGA_NODE_MAP) {
        mega_text_add(difference, "%s is ", path);
        add_value(difference, a);
        mega_text_add(difference, " and ");
        add_value(difference, b);
        return;
    }
    const struct mega_node *maps[] = { a, b };
    for (int i = 0; i < 2; i++)
        for (const struct mega_node *n = maps[i]->first; n && !difference->size; n = n->next) {
            char key[256];
            snprintf(key, sizeof key, "%s%s%.100s", path, *path ? "." : "", n->key);
            compare(mega_node_find(a, n->key), mega_node_find(b, n->key), key, difference);
        }
}

static mega_status check_same(
    const mega_model *first, const mega_model *m, const char *folder, const char *other)
{
    struct mega_text difference = { 0 };
    compare(first->document.root, m->document.root, "", &difference);
    mega_status status = MEGA_OK;
    if (difference.failed)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to compare models");
    else if (difference.size)
        status = mega_fail(MEGA_BAD_ARGUMENT, "%s and %s are not the same model: %s", folder,
            other, difference.data);
    mega_text_done(&difference);
    return status;
}

/* ---- the mean ---- */

static mega_status add_model(
    const mega_model *first, double *sum, const char *folder, const char *other)
{
    mega_model *m;
    MEGA_TRY(mega_model_load(&m, other));
    mega_status status = check_same(first, m, folder, other);
    if (!status) add(m, sum);
    mega_model_free(m);
    return status;
}

/* the first model's; a folder without one makes a folder without one */
static mega_status save_tokenizer(const char *out, const mega_model *m, const char *folder)
{
    mega_tokenizer *t;
    if (m->config.architecture == MEGA_CLASSIFIER || mega_language_tokenizer(&t, m, folder))
        return MEGA_OK;
    bool bytes = !strcmp(mega_tokenizer_kind(t), "bytes");
    mega_status status = bytes ? MEGA_OK : mega_tokenizer_save(t, out);
    mega_tokenizer_close(t);
    return status;
}

/* the first model's own config.json beside the mean; a write that fails leaves nothing */
static mega_status save(const char *out, const mega_model *m, const char *folder)
{
    struct mega_text config = { 0 };
    char path[1400];
    snprintf(path, sizeof path, "%s/config.json", folder);
    mega_status status = mega_file_read(path, &config);
    if (!status) {
        status = mega_model_folder_save(out, m, config.data);
        if (!status) status = save_tokenizer(out, m, folder);
        if (status) mega_folder_remove(out);
    }
    mega_text_done(&config);
    return status;
}

/* the first model gives shape and config.json; the others must have the same */
static mega_status average(const char *out, char (*folder)[1280], int n)
{
    mega_model *first;
    if (mega_foreign_is(folder[0]))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s is a model of another program: mega convert makes one of this program of it",
            folder[0]);
    MEGA_TRY(mega_model_load(&first, folder[0]));
    double *sum = calloc((size_t)numbers(first) + 1, sizeof *sum);
    mega_status status = sum ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory to average");
    if (!status) add(first, sum);
    for (int i = 1; i < n && !status; i++) status = add_model(first, sum, folder[0], folder[i]);
    if (!status) {
        put(first, sum, 1 / (double)n);
        status = save(out, first, folder[0]);
    }
    free(sum);
    mega_model_free(first);
    return status;
}

static mega_status newest(const char *run, int64_t last, char (**folder)[1280], int *n)
{
    struct mega_run_folder f;
    int64_t *steps;
    int all;
    MEGA_TRY(mega_run_folder_open(&f, run));
    MEGA_TRY(mega_run_folder_steps(&f, &steps, &all));
    mega_status status = MEGA_OK;
    if (all < last)
        status = mega_fail(MEGA_BAD_ARGUMENT, "%s has %d checkpoints, expected at least %lld",
            run, all, (long long)last);
    *folder = status ? NULL : calloc((size_t)last, sizeof **folder);
    if (!status && !*folder) status = mega_fail(MEGA_NO_MEMORY, "no memory to average");
    for (*n = 0; !status && *n < last; ++*n)
        mega_run_folder_path(
            &f, (*folder)[*n], "step-%06lld", (long long)steps[all - last + *n]);
    free(steps);
    return status;
}

static mega_status named(const struct mega_line *line, char (**folder)[1280], int *n)
{
    *folder = calloc((size_t)line->n_words, sizeof **folder);
    if (!*folder) return mega_fail(MEGA_NO_MEMORY, "no memory to average");
    for (*n = 0; *n < line->n_words - 1; ++*n)
        MEGA_TRY(mega_run_folder_model(line->word[*n + 1], (*folder)[*n]));
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *out = line->word[0];
    char(*folder)[1280] = NULL;
    int n = 0;
    mega_status status = MEGA_OK;
    if (mega_path_exists(out))
        status =
            mega_fail(MEGA_BAD_ARGUMENT, "%s is there already: choose another folder", out);
    if (!status && o->last && line->n_words != 2)
        status = mega_fail(MEGA_BAD_ARGUMENT, "--last takes one run");
    if (!status)
        status =
            o->last ? newest(line->word[1], o->last, &folder, &n) : named(line, &folder, &n);
    if (!status) status = average(out, folder, n);
    free(folder);
    if (status) return mega_command_fail(status);
    printf("%s: the mean of %d models\n", out, n);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_average = {
    .name = "average",
    .summary = "Average the weights of checkpoints",
    .words = "OUT MODEL... | --last N OUT RUN",
    .least = 2,
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "The mean is taken in double and rounded to float32; config.json comes from the "
              "first model, and the others must have the same.",
    .run = run,
};
