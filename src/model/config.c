/* A model's configuration: read from recipes and config.json, printed back. */
#include <string.h>

#include "format/option_json.h"
#include "model/model.h"

/* finds the mixer's name before the tables are checked, since it decides which keys there are
 */
static mega_status find_mixer(
    struct mega_model_config *c, const struct mega_document *d, const struct mega_node *section)
{
    const struct mega_option *o = mega_option_find(mega_encoder_options, "mixer");
    mega_option_defaults(mega_encoder_options, &c->encoder);
    const struct mega_node *name = section ? mega_node_find(section, "mixer") : NULL;
    if (!name) return MEGA_OK;
    if (name->kind != MEGA_NODE_TEXT ||
        (c->encoder.mixer = mega_choice_find(o->choices, name->text)) < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s:%d:%d: model.mixer is '%s', expected one of %s",
            d->name, name->line, name->column, name->text ? name->text : "", o->choices);
    return MEGA_OK;
}

mega_status mega_model_config_read(
    struct mega_model_config *c, const struct mega_document *d, const struct mega_node *section)
{
    *c = (struct mega_model_config){ 0 };
    MEGA_TRY(find_mixer(c, d, section));
    const struct mega_mixer *mixer = mega_mixers[c->encoder.mixer];
    if (mixer->options_size > sizeof c->mixer)
        return mega_fail(MEGA_INTERNAL, "the options of mixer %s need %zu bytes", mixer->name,
            mixer->options_size);

    /* one section, three tables: each is told the others' names */
    const struct mega_option *tables[] = { mega_encoder_options, mixer->options,
        mega_head_options };
    void *values[] = { &c->encoder, c->mixer, &c->head };
    mega_status status = MEGA_OK;
    for (int i = 0; i < 3 && !status; i++) {
        struct mega_text others = { 0 };
        for (int k = 0; k < 3; k++)
            if (k != i) mega_option_add_names(&others, tables[k]);
        status = others.failed
                     ? mega_fail(MEGA_NO_MEMORY, "no memory to read the section model")
                     : mega_node_read(d, section, "model", tables[i], others.data, values[i]);
        mega_text_done(&others);
    }
    /* false and true, as it was a yes or no */
    int *recompute = &c->encoder.recompute;
    if (*recompute == MEGA_RECOMPUTE_FALSE) *recompute = MEGA_RECOMPUTE_NONE;
    if (*recompute == MEGA_RECOMPUTE_TRUE) *recompute = MEGA_RECOMPUTE_BLOCK;
    return status;
}

void mega_model_config_print(const struct mega_model_config *c, struct mega_text *to)
{
    mega_option_print(mega_encoder_options, &c->encoder, 2, to);
    mega_option_print(mega_mixers[c->encoder.mixer]->options, c->mixer, 2, to);
    mega_option_print(mega_head_options, &c->head, 2, to);
}

enum { FORMAT = 1 }; /* of config.json: raised when older programs could not read it */

void mega_model_config_json(
    const struct mega_model_config *c, const char *task, struct mega_text *to)
{
    mega_text_add(to,
        "{\n  \"megac\": %d,\n  \"architecture\": \"classifier\",\n  \"model\": {\n", FORMAT);
    mega_option_add_json(to, mega_encoder_options, &c->encoder, 4, false);
    mega_option_add_json(to, mega_mixers[c->encoder.mixer]->options, c->mixer, 4, true);
    mega_option_add_json(to, mega_head_options, &c->head, 4, true);
    mega_text_add(to,
        "\n  },\n  \"inputs\": { \"numbers\": %s, \"vocabulary\": %lld, \"pad\": %lld, "
        "\"towers\": %lld },\n",
        c->task.inputs.numbers ? "true" : "false", (long long)c->task.inputs.vocabulary,
        (long long)c->task.inputs.pad, (long long)c->task.towers);
    mega_text_add(to, "  \"labels\": [");
    for (int i = 0; i < c->labels.n; i++) {
        if (i) mega_text_add(to, ", ");
        mega_json_add_text(to, c->labels.item[i], strlen(c->labels.item[i]));
    }
    mega_text_add(to, "]%s%s\n}\n", task ? ",\n  \"task\": " : "", task ? task : "");
}

/* ---- reading config.json ---- */

struct inputs {
    bool numbers;
    int64_t vocabulary, pad, towers;
};

static const struct mega_option inputs_options[] = {
    { "numbers", MEGA_OPTION_BOOL, offsetof(struct inputs, numbers), "false", 0, 0, NULL, NULL,
        "numbers instead of ids", 0 },
    { "vocabulary", MEGA_OPTION_INT, offsetof(struct inputs, vocabulary), NULL, 0, 1 << 30,
        NULL, "V", "ids 0 ... V-1", 0 },
    { "pad", MEGA_OPTION_INT, offsetof(struct inputs, pad), "0", -1, 1 << 30, NULL, "ID",
        "the id that fills rows", 0 },
    { "towers", MEGA_OPTION_INT, offsetof(struct inputs, towers), "1", 1, 2, NULL, "N",
        "texts in a row", 0 },
    { 0 },
};

struct top {
    int64_t format;
    const char *architecture;
    struct mega_texts labels;
};

static const struct mega_option top_options[] = {
    { "megac", MEGA_OPTION_INT, offsetof(struct top, format), NULL, 1, 1 << 20, NULL, "N",
        "version of this file's format", 0 },
    { "architecture", MEGA_OPTION_TEXT, offsetof(struct top, architecture), NULL, 0, 0, NULL,
        "NAME", "kind of model", 0 },
    { "labels", MEGA_OPTION_TEXTS, offsetof(struct top, labels), NULL, 0, 0, NULL, "NAMES",
        "names of the classes", 0 },
    { 0 },
};

static mega_status read_config(struct mega_model_config *c, const struct mega_document *d)
{
    struct top top;
    struct inputs inputs;
    MEGA_TRY(mega_node_read(d, d->root, "", top_options, "model|inputs|task", &top));
    if (top.format > FORMAT)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: format %lld, this program reads up to %d: use a newer one", d->name,
            (long long)top.format, FORMAT);
    if (strcmp(top.architecture, "classifier") != 0)
        return mega_fail(MEGA_UNSUPPORTED, "%s: architecture is '%s', expected classifier",
            d->name, top.architecture);
    const struct mega_node *section = mega_node_find(d->root, "inputs");
    if (!section) return mega_fail(MEGA_BAD_FILE, "%s: the key inputs is missing", d->name);
    MEGA_TRY(mega_model_config_read(c, d, mega_node_find(d->root, "model")));
    MEGA_TRY(mega_node_read(d, section, "inputs", inputs_options, NULL, &inputs));
    if (top.labels.n < 1)
        return mega_fail(
            MEGA_BAD_FILE, "%s: labels is empty, expected the names of the classes", d->name);
    if (!inputs.numbers && inputs.vocabulary < 1)
        return mega_fail(MEGA_BAD_FILE, "%s: inputs.vocabulary is %lld, expected at least 1",
            d->name, (long long)inputs.vocabulary);
    c->labels = top.labels;
    c->task = (struct mega_classifier_task){ { inputs.numbers, inputs.vocabulary, inputs.pad },
        top.labels.n, inputs.towers };
    return MEGA_OK;
}

mega_status mega_model_config_load(
    struct mega_model_config *c, struct mega_document *d, const char *folder)
{
    struct mega_text path = { 0 };
    mega_text_add(&path, "%s/config.json", folder);
    mega_status status = path.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a path")
                                     : mega_json_load(d, path.data);
    mega_text_done(&path);
    if (status) return status;
    status = read_config(c, d);
    if (status) mega_document_done(d);
    return status;
}

mega_status mega_model_config_parse(
    struct mega_model_config *c, const struct mega_document *config)
{
    return read_config(c, config);
}
