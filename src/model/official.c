#include "model/official.h"

#include <stdio.h>
#include <string.h>

#include "format/node.h"

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static bool has(const struct mega_tensors *t, const char *end)
{
    for (int i = 0; i < t->n; i++)
        if (ends_with(t->tensor[i].is.name, end)) return true;
    return false;
}

const struct mega_name_table *mega_official_names(const struct mega_tensors *t)
{
    if (has(t, mega_names_official_lra.probe)) return &mega_names_official_lra;
    return has(t, mega_names_official_lm.probe) ? &mega_names_official_lm : NULL;
}

/* ---- what is read ---- */

struct reader {
    const struct mega_tensors *from;
    const struct mega_value *args;
    const char *stack; /* "encoder.encoder" or "decoder" */
    struct mega_text *json;
    mega_status status; /* the first failure */
    bool more;          /* a key stands before the next */
};

/* a tensor of the stack by the end of its name; NULL: it is not there */
static const struct mega_named *find(const struct reader *r, const char *end)
{
    char name[MEGA_RENAME_NAME];
    snprintf(name, sizeof name, "%s.%s", r->stack, end);
    for (int i = 0; i < r->from->n; i++) {
        const char *whole = r->from->tensor[i].is.name;
        size_t before = strlen(whole) - (ends_with(whole, name) ? strlen(name) : 0);
        if (ends_with(whole, name) && (!before || whole[before - 1] == '.'))
            return &r->from->tensor[i];
    }
    return NULL;
}

/* its size in a dimension; a tensor that must be there */
static int64_t size_of(struct reader *r, const char *end, int dimension)
{
    const struct mega_named *t = find(r, end);
    if (t && t->is.rank > dimension) return t->is.dim[dimension];
    if (!r->status)
        r->status =
            mega_fail(MEGA_BAD_FILE, "%s: tensor %s.%s is missing or has no dimension %d",
                r->from->path, r->stack, end, dimension + 1);
    return 0;
}

/* how many layers there are: "<before><i><after>", from 0 */
static int64_t count(const struct reader *r, const char *before, const char *after)
{
    enum { MOST = 1001 };
    int64_t n = 0;
    for (; n < MOST; n++) {
        char name[128];
        snprintf(name, sizeof name, "%s%lld%s", before, (long long)n, after);
        if (!find(r, name)) break;
    }
    return n;
}

/* the argument by the first of its names ("a|b") that is there; NULL: none */
static const struct mega_value *argument(const struct reader *r, const char *names)
{
    char name[64];
    for (int i = 0; mega_choice_name(names, i, name, sizeof name) >= 0; i++) {
        const struct mega_value *v = mega_value_find(r->args, name);
        if (v) return v;
    }
    return NULL;
}

/* an argument that must be there and be of one kind; NULL after a failure */
static const struct mega_value *need(
    struct reader *r, const char *names, enum mega_value_kind kind, const char *expected)
{
    const struct mega_value *v = argument(r, names);
    if (v && v->kind == kind) return v;
    if (!r->status)
        r->status = mega_fail(MEGA_BAD_FILE, "%s: args.%s is %s, expected %s", r->from->path,
            names, v ? "something else" : "missing", expected);
    return NULL;
}

/* ---- what is written ---- */

static void key(struct reader *r, const char *name)
{
    mega_text_add(r->json, "%s\n    \"%s\": ", r->more ? "," : "", name);
    r->more = true;
}

static void add_int(struct reader *r, const char *name, int64_t value)
{
    key(r, name);
    mega_text_add(r->json, "%lld", (long long)value);
}

static void add_switch(struct reader *r, const char *name, bool value)
{
    key(r, name);
    mega_text_add(r->json, "%s", value ? "true" : "false");
}

static void add_word(struct reader *r, const char *name, const char *word)
{
    key(r, name);
    mega_json_add_text(r->json, word, strlen(word));
}

/* theirs = ours, for those whose words differ */
struct word {
    const char *theirs, *ours;
};

static void copy_word(
    struct reader *r, const char *name, const char *names, const struct word *words)
{
    const struct mega_value *v = need(r, names, MEGA_VALUE_TEXT, "a word");
    if (!v) return;
    for (; words && words->theirs; words++)
        if (!strcmp(words->theirs, v->text)) {
            add_word(r, name, words->ours);
            return;
        }
    add_word(r, name, v->text);
}

static void copy_int(struct reader *r, const char *name, const char *names)
{
    const struct mega_value *v = need(r, names, MEGA_VALUE_INT, "a whole number");
    if (v) add_int(r, name, v->integer);
}

static bool switch_of(struct reader *r, const char *names)
{
    const struct mega_value *v = need(r, names, MEGA_VALUE_BOOL, "true or false");
    return v && v->integer;
}

/* a length that may be absent: 0 */
static void copy_length(struct reader *r, const char *name, const char *names)
{
    const struct mega_value *v = argument(r, names);
    if (v && v->kind == MEGA_VALUE_NONE)
        add_int(r, name, 0);
    else
        copy_int(r, name, names);
}

/* an argument that, where it is told, must have one value: others change what is computed */
static void expect_word(struct reader *r, const char *name, const char *word)
{
    const struct mega_value *v = argument(r, name);
    if (v && !r->status && !(v->kind == MEGA_VALUE_TEXT && !strcmp(v->text, word)))
        r->status = mega_fail(MEGA_UNSUPPORTED, "%s: args.%s is %s, expected %s", r->from->path,
            name, v->kind == MEGA_VALUE_TEXT ? v->text : "something else", word);
}

static void expect_off(struct reader *r, const char *name)
{
    const struct mega_value *v = argument(r, name);
    bool off = !v || v->kind == MEGA_VALUE_NONE || (v->kind == MEGA_VALUE_BOOL && !v->integer);
    if (!off && !r->status)
        r->status = mega_fail(MEGA_UNSUPPORTED, "%s: args.%s is on, which is not computed here",
            r->from->path, name);
}

/* a rate that concerns training alone: 0 where it is not told */
static void copy_rate(struct reader *r, const char *name, const char *names)
{
    const struct mega_value *v = argument(r, names);
    bool real = v && v->kind == MEGA_VALUE_REAL, whole = v && v->kind == MEGA_VALUE_INT;
    key(r, name);
    mega_json_add_real(r->json, real ? v->real : whole ? (double)v->integer : 0);
}

/* ---- both kinds of models ---- */

static const struct word functions[] = { { "swish", "silu" }, { "gelu_fast", "gelu_tanh" },
    { "gelu_accurate", "gelu_tanh" }, { NULL, NULL } };

/* a table of P distances, which says how long texts can be; 0: none */
static int64_t longest_of(const struct reader *r)
{
    const struct mega_named *t = find(r, "layers.0.mega_layer.rel_pos_bias.rel_pos_bias");
    return t && t->is.rank == 1 ? (t->is.dim[0] + 1) / 2 : 0;
}

static void add_longest(struct reader *r, int64_t chunk, const char *names)
{
    int64_t table = longest_of(r);
    const struct mega_value *v = argument(r, names);
    bool told = v && v->kind == MEGA_VALUE_INT && v->integer > 0;
    if (table && chunk > 0 && table != chunk && !r->status)
        r->status = mega_fail(MEGA_BAD_FILE, "%s: its bias has %lld places, its chunk %lld",
            r->from->path, (long long)table, (long long)chunk);
    if (!table && !told) need(r, names, MEGA_VALUE_INT, "the longest text");
    add_int(r, "longest", table && chunk <= 0 ? table : told ? v->integer : table);
}

static void add_blocks(struct reader *r, const char *chunks)
{
    expect_word(r, "layer_type", "mega");
    expect_off(r, "use_p");
    add_int(r, "layers", count(r, "layers.", ".mega_layer.move.delta"));
    add_int(r, "width", size_of(r, "layers.0.mega_layer.v_proj.weight", 1));
    add_int(r, "values", size_of(r, "layers.0.mega_layer.v_proj.weight", 0));
    add_int(r, "keys", size_of(r, "layers.0.mega_layer.gamma", 1));
    add_int(r, "ema", size_of(r, "layers.0.mega_layer.move.delta", 1));
    add_int(r, "ffn",
        find(r, "layers.0.nffn.fc1.weight") ? size_of(r, "layers.0.nffn.fc1.weight", 0) : 0);
    copy_int(r, "chunk", chunks);
    copy_length(r, "truncation", "truncation_length");
    copy_word(r, "activation", "activation_fn", functions);
    copy_word(r, "attention", "attention_activation_fn", NULL);
    copy_word(r, "norm", "norm_type|normalization_type", NULL);
    add_word(r, "bias", longest_of(r) ? "simple" : "rotary");
    add_switch(r, "embed_norm",
        has(r->from, ".embed_norm.norm.weight") || has(r->from, ".embed_norm.norm.scalar"));
    copy_rate(r, "dropout", "dropout");
    copy_rate(r, "attention_dropout", "attention_dropout");
}

static int64_t chunk_of(const struct reader *r, const char *names)
{
    const struct mega_value *v = argument(r, names);
    return v && v->kind == MEGA_VALUE_INT ? v->integer : -1;
}

/* ---- the classifier ---- */

/* tensors of the head stand beside the encoder */
static struct reader beside(const struct reader *r)
{
    struct reader head = *r;
    head.stack = "classifier";
    return head;
}

static int64_t classes_of(struct reader *r)
{
    static const char name[] = "sentence_projection_layer.weight";
    for (int i = 0; i < r->from->n; i++)
        if (ends_with(r->from->tensor[i].is.name, name) && r->from->tensor[i].is.rank == 2)
            return r->from->tensor[i].is.dim[0];
    if (!r->status)
        r->status = mega_fail(MEGA_BAD_FILE, "%s: tensor %s is missing", r->from->path, name);
    return 0;
}

static void add_head(struct reader *r, struct reader *head, int64_t *towers)
{
    static const struct word poolings[] = { { "mp", "mean" }, { "cls", "first" },
        { NULL, NULL } };
    int64_t layers = count(head, "", ".0.weight"),
            width = size_of(r, "layers.0.mega_layer.v_proj.weight", 1);
    copy_word(r, "pooling", "sen_rep_type", poolings);
    add_int(r, "head_layers", layers);
    add_int(r, "head_width", layers ? size_of(head, "0.0.weight", 0) : width);
    copy_word(r, "head_activation", "classifier_activation_fn", functions);
    *towers = layers && width && size_of(head, "0.0.weight", 1) == 2 * width ? 2 : 1;
}

/* numbers instead of ids have a vector in place of the table */
static void add_inputs(struct reader *r, int64_t towers)
{
    const struct mega_named *table = find(r, "embed_tokens.embed.weight");
    bool numbers = !table && find(r, "embed_tokens.weight");
    int64_t vocabulary = numbers ? 0 : size_of(r, "embed_tokens.embed.weight", 0);
    mega_text_add(r->json,
        "\n  },\n  \"inputs\": { \"numbers\": %s, \"vocabulary\": %lld, \"pad\": %d, "
        "\"towers\": %lld },\n  \"labels\": [",
        numbers ? "true" : "false", (long long)vocabulary, numbers ? 0 : 1, (long long)towers);
    for (int64_t i = 0, n = classes_of(r); i < n && i < 1 << 20; i++)
        mega_text_add(r->json, "%s\"%lld\"", i ? ", " : "", (long long)i);
    mega_text_add(r->json, "]\n}\n");
}

static void add_classifier(struct reader *r)
{
    static const char chunks[] = "chunk_size|encoder_chunk_size";
    struct reader head = beside(r);
    int64_t towers;
    mega_text_add(
        r->json, "{\n  \"megac\": 1,\n  \"architecture\": \"classifier\",\n  \"model\": {");
    add_word(r, "mixer", "mega");
    expect_off(r, "adaptive_input");
    add_blocks(r, chunks);
    add_longest(r, chunk_of(r, chunks), "max_positions|max_source_positions");
    add_switch(r, "prenorm", switch_of(r, "encoder_normalize_before|normalize_before"));
    copy_rate(r, "hidden_dropout", "act_dropout|activation_dropout|hidden_dropout");
    const struct mega_value *drop = argument(r, "feature_dropout");
    add_switch(r, "feature_dropout", drop && drop->kind == MEGA_VALUE_BOOL && drop->integer);
    add_head(r, &head, &towers);
    if (!r->status) r->status = head.status;
    add_inputs(r, towers);
}

/* ---- the language model ---- */

/* Words in bands (adaptive input, adaptive softmax): of the tables' heights come the cutoffs.
 */
struct bands {
    const char *cutoffs, *factor; /* our keys */
    const char *told;             /* their argument for the factor */
    int64_t first, n;             /* height of the first band; how many follow it */
    const char *before,
        *after;   /* name of the table of the i-th that follows, i counting from */
    int64_t from; /* this number */
};

static int64_t band_size(struct reader *r, const struct bands *b, int64_t i)
{
    char name[128];
    snprintf(name, sizeof name, "%s%lld%s", b->before, (long long)(b->from + i), b->after);
    return size_of(r, name, 0);
}

/* returns the size of the vocabulary */
static int64_t add_bands(struct reader *r, const struct bands *b)
{
    int64_t end = b->first;
    key(r, b->cutoffs);
    mega_text_add(r->json, "[%lld", (long long)end);
    for (int64_t i = 0; i < b->n; i++) {
        end += band_size(r, b, i);
        /* the last one ends the vocabulary, as every vocabulary does */
        if (i + 1 < b->n) mega_text_add(r->json, ", %lld", (long long)end);
    }
    mega_text_add(r->json, "]");
    if (argument(r, b->told)) copy_rate(r, b->factor, b->told);
    return end;
}

/* the table, or its bands; returns the size of the vocabulary */
static int64_t add_table(struct reader *r, int64_t width)
{
    static const char first[] = "embed_tokens.embeddings.0.0.weight";
    bool bands = find(r, first);
    const char *table = bands ? first : "embed_tokens.weight";
    int64_t in = size_of(r, table, 1);
    add_int(r, "input_width", in == width ? 0 : in);
    if (!bands) return size_of(r, table, 0);
    return add_bands(
        r, &(struct bands){ "input_cutoffs", "input_factor", "adaptive_input_factor",
               size_of(r, first, 0), count(r, "embed_tokens.embeddings.", ".0.weight") - 1,
               "embed_tokens.embeddings.", ".0.weight", 1 });
}

/* Tied tails hold the projections of the input, [D, d], or matrices of their own, [d, D]; where
 * all are square the arguments tell. */
static bool projections_are_tied(struct reader *r, int64_t width)
{
    static const char tail[] = "adaptive_softmax.tail.0.0.weight";
    if (!find(r, tail)) return false;
    int64_t rows = size_of(r, tail, 0), columns = size_of(r, tail, 1);
    return rows == columns ? switch_of(r, "tie_adaptive_proj") : rows == width;
}

/* the head's matrix, or its bands */
static void add_output(struct reader *r, int64_t width, int64_t vocabulary)
{
    static const char words[] = "adaptive_softmax.head.word_proj.weight",
                      head[] = "adaptive_softmax.head.weight";
    bool tied = find(r, words);
    if (!tied && !find(r, head)) {
        bool bands = find(r, "embed_tokens.embeddings.0.0.weight");
        add_switch(r, "tied", !bands && switch_of(r, "share_decoder_input_output_embed"));
        return;
    }
    int64_t tails = count(r, "adaptive_softmax.tail.", ".2.weight"),
            first = tied ? size_of(r, words, 0) : size_of(r, head, 0) - tails;
    int64_t all = add_bands(
        r, &(struct bands){ "output_cutoffs", "output_factor", "adaptive_softmax_factor", first,
               tails, "adaptive_softmax.tail.", ".2.weight", 0 });
    if (all != vocabulary && !r->status)
        r->status = mega_fail(MEGA_BAD_FILE,
            "%s: the adaptive softmax is over %lld words, the embedding has %lld",
            r->from->path, (long long)all, (long long)vocabulary);
    add_switch(r, "tied", tied);
    add_switch(r, "tied_projections", tied && projections_are_tied(r, width));
    copy_rate(r, "output_dropout", "adaptive_softmax_dropout");
}

static void add_language_model(struct reader *r)
{
    static const char chunks[] = "decoder_chunk_size|chunk_size";
    mega_text_add(
        r->json, "{\n  \"megac\": 1,\n  \"architecture\": \"language_model\",\n  \"model\": {");
    add_word(r, "decoder", "mega");
    add_blocks(r, chunks);
    add_longest(r, chunk_of(r, chunks), "max_target_positions|tokens_per_sample");
    int64_t width = size_of(r, "layers.0.mega_layer.v_proj.weight", 1),
            vocabulary = add_table(r, width);
    add_switch(r, "prenorm", switch_of(r, "decoder_normalize_before|normalize_before"));
    add_switch(r, "affine_final_norm",
        has(r->from, ".final_norm.norm.weight") || has(r->from, ".final_norm.norm.scalar"));
    add_switch(r, "scale_embedding", !switch_of(r, "no_scale_embedding"));
    add_output(r, width, vocabulary);
    copy_rate(r, "hidden_dropout", "hidden_dropout");
    copy_rate(r, "activation_dropout", "activation_dropout");
    mega_text_add(r->json, "\n  },\n  \"inputs\": { \"vocabulary\": %lld, \"pad\": 1 }\n}\n",
        (long long)vocabulary);
}

mega_status mega_official_config(
    const struct mega_tensors *t, const struct mega_name_table *names, struct mega_text *json)
{
    bool classifier = names == &mega_names_official_lra;
    struct reader r = { .from = t,
        .args = mega_value_find(mega_tensors_root(t), "args"),
        .stack = classifier ? "encoder.encoder" : "decoder",
        .json = json };
    if (!classifier && has(t, "encoder.layers.0.mega_layer.move.delta"))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: a translation model, expected a classifier or a language model", t->path);
    if (!r.args)
        return mega_fail(MEGA_BAD_FILE,
            "%s: the args of training are missing, which say what the tensors are for: give "
            "--config, a config.json of this program",
            t->path);
    (classifier ? add_classifier : add_language_model)(&r);
    if (!r.status && json->failed)
        r.status = mega_fail(MEGA_NO_MEMORY, "no memory to read %s", t->path);
    return r.status;
}
