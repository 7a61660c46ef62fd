/* mega average: the arithmetic mean of checkpoints. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "model/model.h"
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

static mega_status read_config(const char *folder, struct mega_text *out)
{
    char path[1400];
    snprintf(path, sizeof path, "%s/config.json", folder);
    return mega_file_read(path, out);
}

/* the first model gives shape and config.json; the others must have the same */
static mega_status average(const char *out, char (*folder)[1280], int n)
{
    struct mega_text config = { 0 }, other = { 0 };
    mega_model *first = NULL;
    MEGA_TRY(mega_model_load(&first, folder[0]));
    double *sum = calloc((size_t)numbers(first) + 1, sizeof *sum);
    mega_status status = sum ? read_config(folder[0], &config)
                             : mega_fail(MEGA_NO_MEMORY, "no memory to average");
    if (!status) add(first, sum);
    for (int i = 1; i < n && !status; i++) {
        mega_model *m = NULL;
        status = read_config(folder[i], &other);
        if (!status &&
            (other.size != config.size || memcmp(other.data, config.data, config.size) != 0))
            status = mega_fail(MEGA_BAD_ARGUMENT,
                "%s and %s are not the same model: their config.json differ", folder[0],
                folder[i]);
        if (!status) status = mega_model_load(&m, folder[i]);
        if (!status) add(m, sum);
        mega_model_free(m);
    }
    if (!status) {
        put(first, sum, 1 / (double)n);
        status = mega_model_folder_save(out, first, config.data);
    }
    free(sum);
    mega_model_free(first);
    mega_text_done(&config);
    mega_text_done(&other);
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
