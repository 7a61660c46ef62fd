/* mega inspect: a model's configuration, parameters and shapes, from headers alone. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "format/tensors.h"
#include "model/foreign.h"
#include "train/run_folder.h"

struct options {
    bool json;
};

static const struct mega_option options[] = {
    { "json", MEGA_OPTION_BOOL, offsetof(struct options, json), "false", 0, 0, NULL, NULL,
        "print one JSON object", 0 },
    { 0 },
};

/* What is shown: the tensors of a file and, where a model folder was given, what its
 * config.json declares. */
struct shown {
    char folder[1280], weights[1400];
    struct mega_safetensors file;
    struct mega_model_config config;
    struct mega_document document; /* of config.json */
    mega_model *model;             /* declared, without memory; NULL: a bare file */
    struct mega_tensors theirs;    /* another program's files, shown by `file` */
};

static mega_status open_ours(struct shown *s, const char *given)
{
    MEGA_TRY(mega_run_folder_model(given, s->folder));
    snprintf(s->weights, sizeof s->weights, "%s/model.safetensors", s->folder);
    MEGA_TRY(mega_model_config_load(&s->config, &s->document, s->folder));
    MEGA_TRY(mega_model_new(&s->model, &s->config, false, false));
    return mega_safetensors_open(&s->file, s->weights);
}

/* the tensors by the names that they have there */
static mega_status open_theirs(struct shown *s, const char *given)
{
    MEGA_TRY(mega_tensors_open(&s->theirs, given));
    snprintf(s->weights, sizeof s->weights, "%.1390s", s->theirs.path);
    s->file.tensor = calloc((size_t)s->theirs.n + 1, sizeof *s->file.tensor);
    if (!s->file.tensor) return mega_fail(MEGA_NO_MEMORY, "no memory to show %s", given);
    for (; s->file.n < s->theirs.n; s->file.n++)
        s->file.tensor[s->file.n] = s->theirs.tensor[s->file.n].is;
    if (s->theirs.files == 1 && s->theirs.file->kind == MEGA_TENSORS_SAFETENSORS) {
        s->file.meta = s->theirs.file->safetensors.meta;
        s->file.n_meta = s->theirs.file->safetensors.n_meta;
    }
    return MEGA_OK;
}

static mega_status open_shown(struct shown *s, const char *given)
{
    *s = (struct shown){ 0 };
    return mega_path_is_folder(given) && !mega_foreign_is(given) ? open_ours(s, given)
                                                                 : open_theirs(s, given);
}

static void close_shown(struct shown *s)
{
    if (s->model) mega_safetensors_close(&s->file);
    if (!s->model) free(s->file.tensor);
    mega_tensors_close(&s->theirs);
    mega_model_free(s->model);
    mega_document_done(&s->document);
}

/* "parameter", "buffer"; "unknown" if config.json does not declare it */
static const char *kind_of(const struct shown *s, const struct mega_st_tensor *t)
{
    if (mega_store_find(&s->model->store, t->name)) return "parameter";
    return mega_store_find_cell(&s->model->store, t->name) ? "buffer" : "unknown";
}

static void add_shape(const struct mega_st_tensor *t, struct mega_text *to)
{
    for (int i = 0; i < t->rank; i++)
        mega_text_add(to, "%s%lld", i ? ", " : "[", (long long)t->dim[i]);
    mega_text_add(to, t->rank ? "]" : "[]");
}

struct totals {
    int64_t numbers, in_buffers;
    size_t bytes;
};

static struct totals count(const struct shown *s)
{
    struct totals sum = { 0 };
    for (int i = 0; i < s->file.n; i++) {
        const struct mega_st_tensor *t = &s->file.tensor[i];
        sum.numbers += t->count;
        sum.bytes += t->size;
        if (s->model && strcmp(kind_of(s, t), "parameter") != 0) sum.in_buffers += t->count;
    }
    return sum;
}

/* ---- as text ---- */

static void add_config(const struct shown *s, struct mega_text *to)
{
    const struct mega_inputs *in = &s->config.task.inputs;
    mega_text_add(to, "model:\n");
    mega_model_config_print(&s->config, to);
    mega_text_add(to, "inputs: ");
    if (in->numbers)
        mega_text_add(to, "numbers");
    else
        mega_text_add(
            to, "%lld ids, %lld is padding", (long long)in->vocabulary, (long long)in->pad);
    mega_text_add(to, "; %lld text%s a row\nlabels:", (long long)s->config.task.towers,
        s->config.task.towers > 1 ? "s" : "");
    for (int i = 0; i < s->config.labels.n; i++) {
        const char *label = s->config.labels.item[i];
        mega_text_add(to, " ");
        mega_json_add_text(to, label, strlen(label));
    }
    mega_text_add(to, "\n");
}

static void add_text(const struct shown *s, struct mega_text *to)
{
    struct totals sum = count(s);
    mega_text_add(to, "%s\n", s->weights);
    if (s->model) add_config(s, to);
    mega_text_add(to, "tensors:\n");
    for (int i = 0; i < s->file.n; i++) {
        const struct mega_st_tensor *t = &s->file.tensor[i];
        struct mega_text shape = { 0 };
        add_shape(t, &shape);
        const char *kind = s->model ? kind_of(s, t) : "parameter";
        mega_text_add(to, "  %-64s %-5s %-18s %12lld%s%s\n", t->name, t->dtype,
            shape.failed ? "" : shape.data, (long long)t->count, *kind == 'p' ? "" : "  ",
            *kind == 'p' ? "" : kind);
        mega_text_done(&shape);
    }
    mega_text_add(to, "%d tensors, %lld numbers, %zu bytes\n", s->file.n,
        (long long)sum.numbers, sum.bytes);
    if (s->model)
        mega_text_add(
            to, "%lld trainable parameters\n", (long long)(sum.numbers - sum.in_buffers));
    for (int i = 0; i < s->file.n_meta; i++)
        mega_text_add(to, "%s%s: %s\n", i ? "  " : "metadata:\n  ", s->file.meta[i].key,
            s->file.meta[i].value);
}

/* ---- as JSON ---- */

static void add_string(struct mega_text *to, const char *key, const char *value)
{
    mega_json_add_text(to, key, strlen(key));
    mega_text_add(to, ": ");
    mega_json_add_text(to, value, strlen(value));
}

static void add_json(const struct shown *s, struct mega_text *to)
{
    struct totals sum = count(s);
    mega_text_add(to, "{");
    add_string(to, "file", s->weights);
    if (s->model) {
        mega_text_add(to,
            ", \"parameters\": %lld, \"config\": ", (long long)(sum.numbers - sum.in_buffers));
        mega_json_add_node(to, s->document.root, 0);
    }
    mega_text_add(to, ",\n\"numbers\": %lld, \"bytes\": %zu, \"metadata\": {",
        (long long)sum.numbers, sum.bytes);
    for (int i = 0; i < s->file.n_meta; i++) {
        if (i) mega_text_add(to, ", ");
        add_string(to, s->file.meta[i].key, s->file.meta[i].value);
    }
    mega_text_add(to, "},\n\"tensors\": [");
    for (int i = 0; i < s->file.n; i++) {
        const struct mega_st_tensor *t = &s->file.tensor[i];
        mega_text_add(to, "%s\n  {", i ? "," : "");
        add_string(to, "name", t->name);
        if (s->model) mega_text_add(to, ", \"kind\": \"%s\"", kind_of(s, t));
        mega_text_add(to, ", \"dtype\": \"%s\", \"shape\": ", t->dtype);
        add_shape(t, to);
        mega_text_add(to, ", \"count\": %lld, \"bytes\": %zu}", (long long)t->count, t->size);
    }
    mega_text_add(to, "\n]}\n");
}

/* shows all there is, and only then says what does not fit */
static mega_status inspect(struct shown *s, const char *given, bool json)
{
    struct mega_text text = { 0 };
    MEGA_TRY(open_shown(s, given));
    if (json)
        add_json(s, &text);
    else
        add_text(s, &text);
    if (!text.failed) fputs(text.data, stdout);
    bool failed = text.failed;
    mega_text_done(&text);
    if (failed) return mega_fail(MEGA_NO_MEMORY, "no memory to show %s", given);
    return s->model ? mega_model_check_weights(s->model, &s->file, s->weights) : MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct shown s;
    mega_status status = inspect(&s, line->word[0], o->json);
    close_shown(&s);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_inspect = {
    .name = "inspect",
    .summary = "Show a model's configuration, tensors and counts without loading it",
    .words = "RUN_OR_MODEL_OR_FILE",
    .least = 1,
    .most = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Reads headers alone. Files of PyTorch and llama2.c and folders of other programs "
        "are shown with their own names. Of a model folder config.json and model.safetensors "
        "are "
        "held against each other: a tensor that is missing, "
        "unknown or of another shape ends the command with status 1.",
    .run = run,
};
