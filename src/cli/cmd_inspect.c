/* mega inspect: a model's configuration, parameters and shapes, from headers alone. */
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "train/run_folder.h"

struct options {
    bool json;
};

static const struct mega_option options[] = {
    { "json", MEGA_OPTION_BOOL, offsetof(struct options, json), "false", 0, 0, NULL, NULL,
        "one JSON object a tensor", 0 },
    { 0 },
};

static void print_shape(const struct mega_st_tensor *t, char out[160])
{
    int n = 0;
    out[n++] = '[';
    for (int i = 0; i < t->rank; i++)
        n +=
            snprintf(out + n, (size_t)(150 - n), "%s%lld", i ? ", " : "", (long long)t->dim[i]);
    snprintf(out + n, 4, "]");
}

static void print_tensor(const struct mega_st_tensor *t, bool json)
{
    char shape[160];
    struct mega_text name = { 0 };
    print_shape(t, shape);
    mega_json_add_text(&name, t->name, strlen(t->name));
    if (json)
        printf("{\"name\": %s, \"dtype\": \"%s\", \"shape\": %s, \"count\": %lld}\n",
            name.failed ? "\"\"" : name.data, t->dtype, shape, (long long)t->count);
    else
        printf("  %-64s %-6s %-18s %12lld\n", t->name, t->dtype, shape, (long long)t->count);
    mega_text_done(&name);
}

static mega_status print_file(const char *path, bool json)
{
    struct mega_safetensors s;
    MEGA_TRY(mega_safetensors_open(&s, path));
    int64_t numbers = 0;
    size_t bytes = 0;
    for (int i = 0; i < s.n; i++) {
        print_tensor(&s.tensor[i], json);
        numbers += s.tensor[i].count;
        bytes += s.tensor[i].size;
    }
    if (!json) printf("%d tensors, %lld numbers, %zu bytes\n", s.n, (long long)numbers, bytes);
    for (int i = 0; i < s.n_meta && !json; i++)
        printf("  %s: %s\n", s.meta[i].key, s.meta[i].value);
    mega_safetensors_close(&s);
    return MEGA_OK;
}

/* every tensor that the configuration declares is in the file, in its shape, and no other */
static mega_status compare(const mega_model *m, const char *path)
{
    struct mega_safetensors s;
    MEGA_TRY(mega_safetensors_open(&s, path));
    mega_status status = mega_model_check_weights(m, &s, path);
    mega_safetensors_close(&s);
    return status;
}

static mega_status print_config(const struct mega_model_config *c, int64_t parameters)
{
    struct mega_text text = { 0 };
    mega_model_config_print(c, &text);
    bool failed = text.failed;
    if (!failed) printf("%s", text.data);
    mega_text_done(&text);
    printf("labels:");
    for (int i = 0; i < c->labels.n; i++) printf(" %s", c->labels.item[i]);
    printf("\n%lld trainable parameters\n", (long long)parameters);
    return failed ? mega_fail(MEGA_NO_MEMORY, "no memory for the configuration") : MEGA_OK;
}

static mega_status inspect_folder(const char *given, bool json)
{
    char folder[1280], weights[1400];
    struct mega_model_config config;
    struct mega_document document;
    mega_model *m = NULL;
    MEGA_TRY(mega_run_folder_model(given, folder));
    MEGA_TRY(mega_model_config_load(&config, &document, folder));
    mega_status status = mega_model_new(&m, &config, false, false);
    if (!status && !json) status = print_config(&config, mega_model_parameters(m));
    snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
    if (!status) status = print_file(weights, json);
    if (!status) status = compare(m, weights);
    mega_model_free(m);
    mega_document_done(&document);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *path = line->word[0];
    mega_status status =
        mega_path_is_folder(path) ? inspect_folder(path, o->json) : print_file(path, o->json);
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
    .manual = "Reads headers alone. Of a model folder config.json and model.safetensors are "
              "held against each other: a tensor that is missing, "
              "unknown or of another shape ends the command with status 1.",
    .run = run,
};
