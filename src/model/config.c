/* A model's configuration: read from recipes and config.json, printed back. */
#include <string.h>

#include "format/option_json.h"
#include "model/model.h"
#include "model/presets.h"
#include "model/transformer_options.h"
#include "model/transformer_rules.h"

/* A name that decides which keys there are, found before the tables are checked. */
static mega_status find_choice(const struct mega_option *o, const struct mega_document *d,
    const struct mega_node *section, int *out)
{
    const struct mega_node *name = section ? mega_node_find(section, o->name) : NULL;
    if (!name) return MEGA_OK;
    if (name->kind == MEGA_NODE_TEXT && (*out = mega_choice_find(o->choices, name->text)) >= 0)
        return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT, "%s:%d:%d: model.%s is '%s', expected one of %s",
        d->name, name->line, name->column, o->name, name->text ? name->text : "", o->choices);
}

/* a message about options that do not go together gets its place */
static mega_status in_model(const struct mega_document *d, mega_status status)
{
    return status ? mega_fail_in(status, "%s: model: ", d->name) : MEGA_OK;
}

static mega_status check_size(const char *kind, const char *name, size_t need, size_t have)
{
    return need <= have ? MEGA_OK
                        : mega_fail(MEGA_INTERNAL, "the options of %s %s need %zu bytes", kind,
                              name, need);
}

/* the key of a section that a preset does not go with */
static mega_status refuse_kind(const struct mega_document *d, const struct mega_node *section,
    const struct mega_preset *p, const char *key, const char *found)
{
    const struct mega_node *n = mega_node_find(section, key);
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s:%d:%d: model.%s is %s, but model.preset %s fills the keys of the Transformer: "
        "leave %s out, or say transformer",
        d->name, n->line, n->column, key, found, p->name, key);
}

/* what a preset fills, if there is one */
static struct mega_preset_lists filled_by(
    const struct mega_preset *p, unsigned of, const char *first, bool ends)
{
    return p ? mega_preset_settings(p, of, first, ends) : (struct mega_preset_lists){ { 0 } };
}

/* ---- classifiers ---- */

const struct mega_option mega_classifier_options[] = {
    { "encoder", MEGA_OPTION_CHOICE, offsetof(struct mega_model_config, encoder_kind), "mixer",
        0, 0, "mixer|transformer", NULL,
        "the encoder of Long Range Arena with one of the mixers, or a Transformer with all its "
        "variants",
        0 },
    { 0 },
};

static mega_status read_transformer(struct mega_model_config *c, const struct mega_document *d,
    const struct mega_node *section, const struct mega_preset *p)
{
    int named;
    const struct mega_option *tables[] = { mega_preset_options, mega_classifier_options,
        mega_transformer_encoder_table, mega_head_options };
    void *values[] = { &named, c, &c->transformer, &c->head };
    struct mega_preset_lists filled =
        filled_by(p, MEGA_PRESET_ENCODER, "encoder=transformer", false);
    MEGA_TRY(mega_node_read_filled(d, section, "model", tables, values, 4, filled.list));
    c->transformer.recompute = (int)mega_recompute_resolve(c->transformer.recompute);
    c->transformer.headless = true;
    return in_model(d, mega_transformer_check(&c->transformer));
}

static mega_status read_classifier(
    struct mega_model_config *c, const struct mega_document *d, const struct mega_node *section)
{
    mega_option_defaults(mega_classifier_options, c);
    MEGA_TRY(find_choice(mega_classifier_options, d, section, &c->encoder_kind));
    const struct mega_preset *p;
    int named;
    MEGA_TRY(mega_preset_read(&p, d, section, MEGA_PRESET_ENCODER));
    if (p && !mega_node_find(section, "encoder")) c->encoder_kind = MEGA_ENCODER_TRANSFORMER;
    if (c->encoder_kind == MEGA_ENCODER_TRANSFORMER) return read_transformer(c, d, section, p);
    if (p) return refuse_kind(d, section, p, "encoder", "mixer");
    mega_option_defaults(mega_encoder_options, &c->encoder);
    MEGA_TRY(find_choice(
        mega_option_find(mega_encoder_options, "mixer"), d, section, &c->encoder.mixer));
    const struct mega_mixer *mixer = mega_mixers[c->encoder.mixer];
    MEGA_TRY(check_size("mixer", mixer->name, mixer->options_size, sizeof c->mixer));
    const struct mega_option *tables[] = { mega_preset_options, mega_classifier_options,
        mega_encoder_options, mixer->options, mega_head_options };
    void *values[] = { &named, c, &c->encoder, c->mixer, &c->head };
    MEGA_TRY(mega_node_read_tables(d, section, "model", tables, values, 5));
    c->encoder.recompute = (int)mega_recompute_resolve(c->encoder.recompute);
    return MEGA_OK;
}

static void print_classifier(const struct mega_model_config *c, struct mega_text *to)
{
    mega_option_print(mega_classifier_options, c, 2, to);
    if (c->encoder_kind == MEGA_ENCODER_TRANSFORMER) {
        mega_option_print(mega_transformer_encoder_table, &c->transformer, 2, to);
    } else {
        mega_option_print(mega_encoder_options, &c->encoder, 2, to);
        mega_option_print(mega_mixers[c->encoder.mixer]->options, c->mixer, 2, to);
    }
    mega_option_print(mega_head_options, &c->head, 2, to);
}

/* ---- language models ---- */

const struct mega_option mega_language_model_options[] = {
    { "decoder", MEGA_OPTION_CHOICE, offsetof(struct mega_language_model_config, decoder),
        "mega", 0, 0, MEGA_DECODER_CHOICES, NULL, "the kind of language model", 0 },
    { 0 },
};

static mega_status read_language_model(
    struct mega_model_config *c, const struct mega_document *d, const struct mega_node *section)
{
    struct mega_language_model_config *l = &c->language;
    mega_option_defaults(mega_language_model_options, l);
    MEGA_TRY(find_choice(mega_language_model_options, d, section, &l->decoder));
    const struct mega_preset *p;
    int named;
    MEGA_TRY(mega_preset_read(&p, d, section, MEGA_PRESET_DECODER));
    int transformer = mega_choice_find(MEGA_DECODER_CHOICES, "transformer");
    if (p && !mega_node_find(section, "decoder")) l->decoder = transformer;
    const struct mega_decoder_type *decoder = mega_decoders[l->decoder];
    if (p && l->decoder != transformer)
        return refuse_kind(d, section, p, "decoder", decoder->name);
    MEGA_TRY(check_size("decoder", decoder->name, decoder->options_size, sizeof l->options));
    const struct mega_option *tables[] = { mega_preset_options, mega_language_model_options,
        decoder->options };
    void *values[] = { &named, l, l->options };
    struct mega_preset_lists filled =
        filled_by(p, MEGA_PRESET_DECODER, "decoder=transformer", false);
    MEGA_TRY(mega_node_read_filled(d, section, "model", tables, values, 3, filled.list));
    return decoder->check ? in_model(d, decoder->check(l->options)) : MEGA_OK;
}

static void print_language_model(const struct mega_model_config *c, struct mega_text *to)
{
    const struct mega_language_model_config *l = &c->language;
    mega_option_print(mega_language_model_options, l, 2, to);
    mega_option_print(mega_decoders[l->decoder]->options, l->options, 2, to);
}

/* ---- masked language models ---- */

static mega_status read_masked(
    struct mega_model_config *c, const struct mega_document *d, const struct mega_node *section)
{
    struct mega_masked_model_options *o = &c->masked.options;
    const struct mega_preset *p;
    int named;
    MEGA_TRY(mega_preset_read(&p, d, section, MEGA_PRESET_ENCODER));
    const struct mega_option *tables[] = { mega_preset_options, mega_masked_model_options,
        mega_transformer_encoder_table };
    void *values[] = { &named, o, &o->encoder };
    struct mega_preset_lists filled = filled_by(p, MEGA_PRESET_ENCODER, "", true);
    MEGA_TRY(mega_node_read_filled(d, section, "model", tables, values, 3, filled.list));
    o->encoder.recompute = (int)mega_recompute_resolve(o->encoder.recompute);
    o->encoder.headless = true;
    return in_model(d, mega_transformer_check(&o->encoder));
}

static void print_masked(const struct mega_model_config *c, struct mega_text *to)
{
    mega_option_print(mega_masked_model_options, &c->masked.options, 2, to);
    mega_option_print(mega_transformer_encoder_table, &c->masked.options.encoder, 2, to);
}

/* ---- any ---- */

static const struct {
    mega_status (*read)(struct mega_model_config *c, const struct mega_document *d,
        const struct mega_node *section);
    void (*print)(const struct mega_model_config *c, struct mega_text *to);
} kinds[] = { [MEGA_CLASSIFIER] = { read_classifier, print_classifier },
    [MEGA_LANGUAGE_MODEL] = { read_language_model, print_language_model },
    [MEGA_MASKED_MODEL] = { read_masked, print_masked } };

mega_status mega_model_config_read(struct mega_model_config *c, enum mega_architecture a,
    const struct mega_document *d, const struct mega_node *section)
{
    *c = (struct mega_model_config){ .architecture = a };
    return kinds[a].read(c, d, section);
}

void mega_model_config_print(const struct mega_model_config *c, struct mega_text *to)
{
    kinds[c->architecture].print(c, to);
}

enum mega_recompute mega_model_recompute(const struct mega_model_config *c)
{
    const struct mega_language_model_config *l = &c->language;
    if (c->architecture == MEGA_LANGUAGE_MODEL)
        return mega_decoders[l->decoder]->shape(l->options).recompute;
    if (c->architecture == MEGA_MASKED_MODEL)
        return (enum mega_recompute)c->masked.options.encoder.recompute;
    return (enum mega_recompute)(c->encoder_kind == MEGA_ENCODER_TRANSFORMER
                                     ? c->transformer.recompute
                                     : c->encoder.recompute);
}

enum { FORMAT = 1 }; /* of config.json: raised when older programs could not read it */

#define ARCHITECTURES "classifier|language_model|masked_language_model"

static void add_classifier(const struct mega_model_config *c, struct mega_text *to)
{
    mega_option_add_json(to, mega_classifier_options, c, 4, false);
    if (c->encoder_kind == MEGA_ENCODER_TRANSFORMER) {
        mega_option_add_json(to, mega_transformer_encoder_table, &c->transformer, 4, true);
    } else {
        mega_option_add_json(to, mega_encoder_options, &c->encoder, 4, true);
        mega_option_add_json(to, mega_mixers[c->encoder.mixer]->options, c->mixer, 4, true);
    }
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
    mega_text_add(to, "]");
}

static void add_language_model(const struct mega_model_config *c, struct mega_text *to)
{
    const struct mega_language_model_config *l = &c->language;
    mega_option_add_json(to, mega_language_model_options, l, 4, false);
    mega_option_add_json(to, mega_decoders[l->decoder]->options, l->options, 4, true);
    mega_text_add(to, "\n  },\n  \"inputs\": { \"vocabulary\": %lld, \"pad\": %lld }",
        (long long)l->vocabulary.size, (long long)l->vocabulary.pad);
}

static void add_masked_model(const struct mega_model_config *c, struct mega_text *to)
{
    const struct mega_masked_model_config *m = &c->masked;
    mega_option_add_json(to, mega_masked_model_options, &m->options, 4, false);
    mega_option_add_json(to, mega_transformer_encoder_table, &m->options.encoder, 4, true);
    mega_text_add(to, "\n  },\n  \"inputs\": { \"vocabulary\": %lld, \"pad\": %lld }",
        (long long)m->vocabulary.size, (long long)m->vocabulary.pad);
}

void mega_model_config_json(
    const struct mega_model_config *c, const char *task, struct mega_text *to)
{
    static void (*const add[])(const struct mega_model_config *,
        struct mega_text *) = { add_classifier, add_language_model, add_masked_model };
    char name[64];
    mega_choice_name(ARCHITECTURES, c->architecture, name, sizeof name);
    mega_text_add(
        to, "{\n  \"megac\": %d,\n  \"architecture\": \"%s\",\n  \"model\": {\n", FORMAT, name);
    add[c->architecture](c, to);
    mega_text_add(to, "%s%s\n}\n", task ? ",\n  \"task\": " : "", task ? task : "");
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
    { "labels", MEGA_OPTION_TEXTS, offsetof(struct top, labels), "", 0, 0, NULL, "NAMES",
        "names of the classes", 0 },
    { 0 },
};

static mega_status check_vocabulary(const struct mega_document *d, const struct inputs *in)
{
    return in->numbers || in->vocabulary > 0
               ? MEGA_OK
               : mega_fail(MEGA_BAD_FILE, "%s: inputs.vocabulary is %lld, expected at least 1",
                     d->name, (long long)in->vocabulary);
}

static mega_status read_config(struct mega_model_config *c, const struct mega_document *d)
{
    struct top top;
    struct inputs inputs;
    MEGA_TRY(mega_node_read(d, d->root, "", top_options, "model|inputs|task", &top));
    if (top.format > FORMAT)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: format %lld, this program reads up to %d: use a newer one", d->name,
            (long long)top.format, FORMAT);
    int architecture = mega_choice_find(ARCHITECTURES, top.architecture);
    if (architecture < 0)
        return mega_fail(MEGA_UNSUPPORTED, "%s: architecture is '%s', expected one of %s",
            d->name, top.architecture, ARCHITECTURES);
    const struct mega_node *section = mega_node_find(d->root, "inputs");
    if (!section) return mega_fail(MEGA_BAD_FILE, "%s: the key inputs is missing", d->name);
    MEGA_TRY(mega_model_config_read(
        c, (enum mega_architecture)architecture, d, mega_node_find(d->root, "model")));
    MEGA_TRY(mega_node_read(d, section, "inputs", inputs_options, NULL, &inputs));
    MEGA_TRY(check_vocabulary(d, &inputs));
    struct mega_vocabulary vocabulary = { inputs.vocabulary, inputs.pad };
    c->language.vocabulary = c->masked.vocabulary = vocabulary;
    if (architecture != MEGA_CLASSIFIER) return MEGA_OK;
    if (top.labels.n < 1)
        return mega_fail(
            MEGA_BAD_FILE, "%s: labels is empty, expected the names of the classes", d->name);
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
