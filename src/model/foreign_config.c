#include "model/foreign_config.h"

#include <stdio.h>
#include <string.h>

#include "model/transformer_options.h"
#include "op/contracts.h"

enum kind {
    SIZE,   /* a whole number from 1 */
    REAL,   /* a number above 0 */
    SWITCH, /* true or false */
    RATE,   /* from 0 to below 1 */
    ACT,    /* the name of a pointwise function */
    ID,     /* the id of a token; of a list the first */
    ONLY,   /* one of the values in `only`: others change what the model computes */
    TAKEN,  /* read elsewhere */
    FREE    /* says nothing about what the model computes */
};

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *only;
};

/* The keys of both models by their meaning; 0 and -1: not told. */
struct told {
    int64_t width, layers, heads, kv_heads, head_width, ffn, vocabulary, longest, old_longest;
    int64_t types, bos, eos, pad;
    double eps, theta, dropout, embedding_dropout, attention_dropout;
    bool tied, attention_bias, mlp_bias;
    int act;
};
#define AT(member) offsetof(struct told, member)

/* LlamaConfig */
static const struct key llama_keys[] = { { "hidden_size", SIZE, AT(width), NULL },
    { "num_hidden_layers", SIZE, AT(layers), NULL },
    { "num_attention_heads", SIZE, AT(heads), NULL },
    { "num_key_value_heads", SIZE, AT(kv_heads), NULL },
    { "head_dim", SIZE, AT(head_width), NULL }, { "intermediate_size", SIZE, AT(ffn), NULL },
    { "vocab_size", SIZE, AT(vocabulary), NULL },
    { "max_position_embeddings", SIZE, AT(longest), NULL },
    { "rms_norm_eps", REAL, AT(eps), NULL }, { "rope_theta", REAL, AT(theta), NULL },
    { "hidden_act", ACT, AT(act), NULL }, { "tie_word_embeddings", SWITCH, AT(tied), NULL },
    { "attention_bias", SWITCH, AT(attention_bias), NULL },
    { "mlp_bias", SWITCH, AT(mlp_bias), NULL },
    { "attention_dropout", RATE, AT(attention_dropout), NULL },
    { "bos_token_id", ID, AT(bos), NULL }, { "eos_token_id", ID, AT(eos), NULL },
    { "pad_token_id", ID, AT(pad), NULL }, { "rope_scaling", TAKEN, 0, NULL },
    { "rope_parameters", TAKEN, 0, NULL }, { "partial_rotary_factor", ONLY, 0, "1|1.0" },
    { "rope_interleaved", ONLY, 0, "false" }, { "use_sliding_window", ONLY, 0, "false" },
    { "sliding_window", ONLY, 0, "" }, { "quantization_config", ONLY, 0, "" },
    { "pretraining_tp", FREE, 0, NULL }, { NULL, FREE, 0, NULL } };

/* GPT2Config */
static const struct key gpt2_keys[] = { { "n_embd", SIZE, AT(width), NULL },
    { "n_layer", SIZE, AT(layers), NULL }, { "n_head", SIZE, AT(heads), NULL },
    { "n_inner", SIZE, AT(ffn), NULL }, { "vocab_size", SIZE, AT(vocabulary), NULL },
    { "n_positions", SIZE, AT(longest), NULL }, { "n_ctx", SIZE, AT(old_longest), NULL },
    { "layer_norm_epsilon", REAL, AT(eps), NULL },
    { "activation_function", ACT, AT(act), NULL },
    { "tie_word_embeddings", SWITCH, AT(tied), NULL },
    { "resid_pdrop", RATE, AT(dropout), NULL },
    { "embd_pdrop", RATE, AT(embedding_dropout), NULL },
    { "attn_pdrop", RATE, AT(attention_dropout), NULL }, { "bos_token_id", ID, AT(bos), NULL },
    { "eos_token_id", ID, AT(eos), NULL }, { "pad_token_id", ID, AT(pad), NULL },
    { "scale_attn_weights", ONLY, 0, "true" },
    { "scale_attn_by_inverse_layer_idx", ONLY, 0, "false" },
    { "reorder_and_upcast_attn", ONLY, 0, "false" },
    { "add_cross_attention", ONLY, 0, "false" }, { "quantization_config", ONLY, 0, "" },
    { "is_encoder_decoder", ONLY, 0, "false" }, { "predict_special_tokens", FREE, 0, NULL },
    { NULL, FREE, 0, NULL } };

/* BertConfig */
static const struct key bert_keys[] = { { "hidden_size", SIZE, AT(width), NULL },
    { "num_hidden_layers", SIZE, AT(layers), NULL },
    { "num_attention_heads", SIZE, AT(heads), NULL },
    { "intermediate_size", SIZE, AT(ffn), NULL }, { "vocab_size", SIZE, AT(vocabulary), NULL },
    { "max_position_embeddings", SIZE, AT(longest), NULL },
    { "type_vocab_size", SIZE, AT(types), NULL }, { "layer_norm_eps", REAL, AT(eps), NULL },
    { "hidden_act", ACT, AT(act), NULL }, { "hidden_dropout_prob", RATE, AT(dropout), NULL },
    { "attention_probs_dropout_prob", RATE, AT(attention_dropout), NULL },
    { "pad_token_id", ID, AT(pad), NULL }, { "bos_token_id", ID, AT(bos), NULL },
    { "eos_token_id", ID, AT(eos), NULL }, { "position_embedding_type", ONLY, 0, "absolute" },
    { "is_decoder", ONLY, 0, "false" }, { "add_cross_attention", ONLY, 0, "false" },
    { "tie_word_embeddings", ONLY, 0, "true" }, { "quantization_config", ONLY, 0, "" },
    { "classifier_dropout", FREE, 0, NULL }, { "directionality", FREE, 0, NULL },
    { "pooler_fc_size", FREE, 0, NULL }, { "pooler_num_attention_heads", FREE, 0, NULL },
    { "pooler_num_fc_layers", FREE, 0, NULL }, { "pooler_size_per_head", FREE, 0, NULL },
    { "pooler_type", FREE, 0, NULL }, { NULL, FREE, 0, NULL } };

/* params.json of Llama's authors, model_args of llama2.c's training: sizes come from tensors,
 * too */
static const struct key meta_keys[] = { { "dim", SIZE, AT(width), NULL },
    { "n_layers", SIZE, AT(layers), NULL }, { "n_heads", SIZE, AT(heads), NULL },
    { "n_kv_heads", SIZE, AT(kv_heads), NULL }, { "norm_eps", REAL, AT(eps), NULL },
    { "rope_theta", REAL, AT(theta), NULL }, { "max_seq_len", SIZE, AT(longest), NULL },
    { "use_scaled_rope", ONLY, 0, "false" }, { "vocab_size", FREE, 0, NULL },
    { "multiple_of", FREE, 0, NULL }, { "ffn_dim_multiplier", FREE, 0, NULL },
    { "hidden_dim", FREE, 0, NULL }, { "dropout", FREE, 0, NULL },
    { "max_batch_size", FREE, 0, NULL }, { NULL, FREE, 0, NULL } };

/* of every model, and of the program around it */
static const struct key common_keys[] = { { "architectures", TAKEN, 0, NULL },
    { "model_type", TAKEN, 0, NULL }, { "torch_dtype", FREE, 0, NULL },
    { "dtype", FREE, 0, NULL }, { "transformers_version", FREE, 0, NULL },
    { "_name_or_path", FREE, 0, NULL }, { "name_or_path", FREE, 0, NULL },
    { "use_cache", FREE, 0, NULL }, { "initializer_range", FREE, 0, NULL },
    { "task_specific_params", FREE, 0, NULL }, { "summary_type", FREE, 0, NULL },
    { "summary_use_proj", FREE, 0, NULL }, { "summary_activation", FREE, 0, NULL },
    { "summary_proj_to_labels", FREE, 0, NULL }, { "summary_first_dropout", FREE, 0, NULL },
    { "output_attentions", FREE, 0, NULL }, { "output_hidden_states", FREE, 0, NULL },
    { "output_past", FREE, 0, NULL }, { "return_dict", FREE, 0, NULL },
    { "gradient_checkpointing", FREE, 0, NULL }, { "id2label", FREE, 0, NULL },
    { "label2id", FREE, 0, NULL }, { "_attn_implementation_autoset", FREE, 0, NULL },
    { NULL, FREE, 0, NULL } };

/* ---- one value ---- */

static mega_status refuse(const struct mega_document *d, const struct mega_node *n,
    const char *key, const char *expected)
{
    struct mega_text value = { 0 };
    mega_json_add_node(&value, n, 0);
    mega_status status = mega_fail(MEGA_UNSUPPORTED, "%s:%d:%d: %s is %.60s, expected %s",
        d->name, n->line, n->column, key, value.failed ? "?" : value.data, expected);
    mega_text_done(&value);
    return status;
}

static bool is_number(const struct mega_node *n)
{
    return n->kind == MEGA_NODE_INT || n->kind == MEGA_NODE_REAL;
}

static mega_status read_act(
    const struct mega_document *d, const struct mega_node *n, const char *key, int *to)
{
    static const struct {
        const char *name;
        int act;
    } names[] = { { "silu", MEGA_ACT_SILU }, { "swish", MEGA_ACT_SILU },
        { "gelu", MEGA_ACT_GELU }, { "gelu_python", MEGA_ACT_GELU },
        { "gelu_new", MEGA_ACT_GELU_TANH }, { "gelu_pytorch_tanh", MEGA_ACT_GELU_TANH },
        { "relu", MEGA_ACT_RELU }, { "relu2", MEGA_ACT_RELU2 } };
    for (size_t i = 0; n->kind == MEGA_NODE_TEXT && i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, n->text)) {
            *to = names[i].act;
            return MEGA_OK;
        }
    return refuse(d, n, key, "silu, gelu, gelu_new, gelu_pytorch_tanh, relu or relu2");
}

static mega_status read_id(
    const struct mega_document *d, const struct mega_node *n, const char *key, int64_t *to)
{
    const struct mega_node *one = n->kind == MEGA_NODE_LIST ? n->first : n;
    if (!one || one->kind != MEGA_NODE_INT || one->integer < 0 || one->integer > INT32_MAX)
        return refuse(d, n, key, "the id of a token");
    *to = one->integer;
    return MEGA_OK;
}

static mega_status read_only(
    const struct mega_document *d, const struct mega_node *n, const struct key *k)
{
    char expected[128];
    if (n->text && mega_choice_find(k->only, n->text) >= 0) return MEGA_OK;
    snprintf(expected, sizeof expected, "%s: other values are not computed here",
        *k->only ? k->only : "null");
    return refuse(d, n, k->name, expected);
}

/* null stands for what was not told */
static mega_status read_value(const struct mega_document *d, const struct mega_node *n,
    const struct key *k, struct told *t)
{
    void *to = (char *)t + k->offset;
    if (n->kind == MEGA_NODE_NULL) return MEGA_OK;
    switch (k->kind) {
    case SIZE:
        if (n->kind != MEGA_NODE_INT || n->integer < 1 || n->integer > 1 << 30)
            return refuse(d, n, k->name, "a whole number from 1");
        *(int64_t *)to = n->integer;
        return MEGA_OK;
    case REAL:
        if (!is_number(n) || !(n->real > 0)) return refuse(d, n, k->name, "a number above 0");
        *(double *)to = n->real;
        return MEGA_OK;
    case RATE:
        if (!is_number(n) || !(n->real >= 0 && n->real < 1))
            return refuse(d, n, k->name, "a rate from 0 to below 1");
        *(double *)to = n->real;
        return MEGA_OK;
    case SWITCH:
        if (n->kind != MEGA_NODE_BOOL) return refuse(d, n, k->name, "true or false");
        *(bool *)to = n->boolean;
        return MEGA_OK;
    case ACT: return read_act(d, n, k->name, to);
    case ID: return read_id(d, n, k->name, to);
    case ONLY: return read_only(d, n, k);
    default: return MEGA_OK;
    }
}

/* ---- all keys ---- */

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (const struct key *k = keys; k->name; k++)
        if (!strcmp(k->name, name)) return k;
    return NULL;
}

/* is `key` in the list "a,b"? */
static bool is_listed(const char *list, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = list; p && *p;) {
        size_t length = strcspn(p, ",");
        if (length == n && !strncmp(p, key, n)) return true;
        p += length + (p[length] == ',');
    }
    return false;
}

static mega_status read_key(struct mega_foreign_config *c, const struct mega_document *d,
    const struct mega_node *n, const struct key *keys, const char *ignore, struct told *t)
{
    const struct key *k = find_key(keys, n->key);
    if (!k) k = find_key(common_keys, n->key);
    bool off = n->kind == MEGA_NODE_NULL || (n->kind == MEGA_NODE_BOOL && !n->boolean) ||
               (n->kind >= MEGA_NODE_LIST && !n->first);
    if (is_listed(ignore, n->key)) {
        mega_text_add(&c->remark, "%s: not heeded, as was asked for\n", n->key);
        return MEGA_OK;
    }
    if (!k && !off)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: the key %.100s is not known here and may change what the model "
            "computes: "
            "--ignore %.100s passes over it",
            d->name, n->line, n->column, n->key, n->key);
    if (!k || k->kind == FREE) {
        mega_text_add(&c->remark, "%s: plays no part\n", n->key);
        return MEGA_OK;
    }
    return read_value(d, n, k, t);
}

static mega_status read_keys(struct mega_foreign_config *c, const struct mega_document *d,
    const struct key *keys, const char *ignore, struct told *t)
{
    for (const struct mega_node *n = d->root->first; n; n = n->next)
        MEGA_TRY(read_key(c, d, n, keys, ignore, t));
    return c->remark.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to read %s", d->name)
                            : MEGA_OK;
}

static mega_status need(
    const struct mega_document *d, const struct key *keys, size_t offset, int64_t value)
{
    for (const struct key *k = keys; k->name && !value; k++)
        if (k->kind == SIZE && k->offset == offset)
            return mega_fail(MEGA_BAD_FILE, "%s: the key %s is missing", d->name, k->name);
    return MEGA_OK;
}

static mega_status check_sizes(
    const struct mega_document *d, const struct key *keys, const struct told *t)
{
    MEGA_TRY(need(d, keys, AT(width), t->width));
    MEGA_TRY(need(d, keys, AT(layers), t->layers));
    MEGA_TRY(need(d, keys, AT(heads), t->heads));
    MEGA_TRY(need(d, keys, AT(vocabulary), t->vocabulary));
    int64_t head = t->head_width ? t->head_width : t->width / t->heads;
    if (head * t->heads > 1 << 24)
        return mega_fail(MEGA_BAD_FILE, "%s: %lld heads of %lld channels: expected less",
            d->name, (long long)t->heads, (long long)head);
    if (!t->head_width && t->width % t->heads)
        return mega_fail(MEGA_BAD_FILE, "%s: a width of %lld does not go into %lld heads",
            d->name, (long long)t->width, (long long)t->heads);
    return MEGA_OK;
}

/* ---- Llama ---- */

/* rope_scaling, or rope_parameters of newer files, which also holds the base */
static mega_status read_rope(
    const struct mega_document *d, const struct mega_node *n, double *base, double *factor)
{
    if (!n || n->kind == MEGA_NODE_NULL) return MEGA_OK;
    if (n->kind != MEGA_NODE_MAP) return refuse(d, n, n->key, "null or a map");
    bool linear = false;
    for (const struct mega_node *i = n->first; i; i = i->next) {
        char key[128];
        snprintf(key, sizeof key, "%.60s.%.60s", n->key, i->key);
        if (!strcmp(i->key, "type") || !strcmp(i->key, "rope_type")) {
            linear = i->kind == MEGA_NODE_TEXT && !strcmp(i->text, "linear");
            if (!linear && !(i->kind == MEGA_NODE_TEXT && !strcmp(i->text, "default")))
                return refuse(d, i, key, "default or linear: others are not computed here");
        } else if (!strcmp(i->key, "factor") || !strcmp(i->key, "rope_theta")) {
            if (!is_number(i) || !(i->real > 0)) return refuse(d, i, key, "a number above 0");
            *(*i->key == 'f' ? factor : base) = i->real;
        } else if (strcmp(i->key, "partial_rotary_factor") != 0 || !is_number(i) ||
                   i->real < 1 || i->real > 1) {
            return refuse(d, i, key, "only type, factor and rope_theta");
        }
    }
    if (!linear && (*factor < 1 || *factor > 1))
        return refuse(d, n, n->key, "a factor of 1 unless its type is linear");
    return MEGA_OK;
}

/* all that Llama's files say, whoever wrote them */
static void set_llama(struct mega_foreign_config *c, const struct told *t, double factor)
{
    int64_t head = t->head_width ? t->head_width : t->width / t->heads;
    c->options = (struct mega_transformer_options){ .vocabulary = t->vocabulary,
        .width = t->width,
        .plan = { .layers = t->layers },
        .ffn = { .each = t->ffn },
        .longest = t->longest,
        .heads = { .each = t->heads },
        .kv_heads = { .each = t->kv_heads ? t->kv_heads : t->heads },
        .keys = { .each = head },
        .values = { .each = head },
        .chunk = { .each = -1 },
        .attention.rotary = { .dims = head,
            .base = t->theta,
            .factor = factor,
            .interleaved = false },
        .positions = MEGA_POSITIONS_NONE,
        .position_scale = 1,
        .act = t->act,
        .gated = true,
        .norm = MEGA_RMSNORM,
        .norm_eps = t->eps,
        .norm_affine = true,
        .placement = MEGA_PLACEMENT_PRE,
        .causal = true,
        .tied = t->tied,
        .attention_bias = t->attention_bias,
        .up_bias = t->mlp_bias,
        .down_bias = t->mlp_bias,
        .attention_dropout = { .each = t->attention_dropout } };
    c->names = &mega_names_hf_llama;
    c->bos = t->bos;
    c->eos = t->eos;
    c->pad = t->pad;
}

static mega_status read_llama(
    struct mega_foreign_config *c, const struct mega_document *d, const char *ignore)
{
    struct told t = { .longest = 2048,
        .eps = 1e-6,
        .theta = 10000,
        .act = MEGA_ACT_SILU,
        .bos = -1,
        .eos = -1,
        .pad = -1 };
    double factor = 1;
    MEGA_TRY(read_keys(c, d, llama_keys, ignore, &t));
    MEGA_TRY(check_sizes(d, llama_keys, &t));
    MEGA_TRY(need(d, llama_keys, AT(ffn), t.ffn));
    static const char *const ropes[] = { "rope_scaling", "rope_parameters" };
    for (int i = 0; i < 2; i++)
        if (!is_listed(ignore, ropes[i]))
            MEGA_TRY(read_rope(d, mega_node_find(d->root, ropes[i]), &t.theta, &factor));
    set_llama(c, &t, factor);
    return MEGA_OK;
}

/* a size of the first tensor whose name ends so; 0: it is not there */
static int64_t size_of(const struct mega_tensors *t, const char *end)
{
    for (int i = 0; i < t->n; i++) {
        const struct mega_st_tensor *is = &t->tensor[i].is;
        size_t n = strlen(is->name), m = strlen(end);
        if (n >= m && !strcmp(is->name + n - m, end) && is->rank == 2) return is->dim[0];
    }
    return 0;
}

/* is the head the token table, or not there? */
static bool is_tied(const struct mega_tensors *t)
{
    const struct mega_named *part[2] = { 0 };
    static const char *const ends[] = { "tok_embeddings.weight", "output.weight" };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < t->n && !part[k]; i++) {
            size_t n = strlen(t->tensor[i].is.name), m = strlen(ends[k]);
            if (n >= m && !strcmp(t->tensor[i].is.name + n - m, ends[k]))
                part[k] = &t->tensor[i];
        }
    if (!part[0] || !part[1]) return !part[1];
    return part[0]->is.size && part[0]->is.size == part[1]->is.size &&
           mega_named_is_dense(part[0]) && mega_named_is_dense(part[1]) &&
           !memcmp(part[0]->is.data, part[1]->is.data, part[0]->is.size);
}

mega_status mega_foreign_config_meta(struct mega_foreign_config *c,
    const struct mega_document *d, const struct mega_tensors *from, const char *ignore)
{
    struct told t = { .longest = 2048,
        .eps = 1e-5,
        .theta = 10000,
        .act = MEGA_ACT_SILU,
        .bos = -1,
        .eos = -1,
        .pad = -1 };
    *c = (struct mega_foreign_config){ 0 };
    mega_status status = read_keys(c, d, meta_keys, ignore, &t);
    t.vocabulary = size_of(from, "tok_embeddings.weight");
    t.ffn = size_of(from, "feed_forward.w1.weight");
    t.tied = is_tied(from);
    if (!status && !t.ffn)
        status = mega_fail(
            MEGA_BAD_FILE, "%s: tensor feed_forward.w1.weight is missing", from->path);
    if (!status) status = check_sizes(d, meta_keys, &t);
    if (!status) set_llama(c, &t, 1);
    if (status) mega_foreign_config_done(c);
    c->names = &mega_names_meta_llama;
    c->options.attention.rotary.interleaved = true;
    return status;
}

/* ---- GPT-2 ---- */

static mega_status read_gpt2(
    struct mega_foreign_config *c, const struct mega_document *d, const char *ignore)
{
    struct told t = { .longest = 1024,
        .eps = 1e-5,
        .act = MEGA_ACT_GELU_TANH,
        .tied = true,
        .dropout = 0.1,
        .embedding_dropout = 0.1,
        .attention_dropout = 0.1,
        .bos = -1,
        .eos = -1,
        .pad = -1 };
    MEGA_TRY(read_keys(c, d, gpt2_keys, ignore, &t));
    MEGA_TRY(check_sizes(d, gpt2_keys, &t));
    if (t.old_longest && t.old_longest != t.longest)
        return mega_fail(MEGA_BAD_FILE, "%s: n_ctx is %lld and n_positions %lld: expected one",
            d->name, (long long)t.old_longest, (long long)t.longest);
    if (t.embedding_dropout < t.dropout || t.embedding_dropout > t.dropout)
        mega_text_add(&c->remark, "embd_pdrop: training would use resid_pdrop\n");
    c->options = (struct mega_transformer_options){ .vocabulary = t.vocabulary,
        .width = t.width,
        .plan = { .layers = t.layers },
        .ffn = { .each = t.ffn ? t.ffn : 4 * t.width },
        .longest = t.longest,
        .heads = { .each = t.heads },
        .kv_heads = { .each = t.heads },
        .keys = { .each = t.width / t.heads },
        .values = { .each = t.width / t.heads },
        .chunk = { .each = -1 },
        .attention.rotary = { .dims = 0, .base = 10000, .factor = 1, .interleaved = false },
        .positions = MEGA_POSITIONS_LEARNED,
        .position_scale = 1,
        .act = t.act,
        .norm = MEGA_LAYERNORM,
        .norm_eps = t.eps,
        .norm_affine = true,
        .norm_bias = true,
        .placement = MEGA_PLACEMENT_PRE,
        .causal = true,
        .tied = t.tied,
        .attention_bias = true,
        .up_bias = true,
        .down_bias = true,
        .dropout = t.dropout,
        .attention_dropout = { .each = t.attention_dropout } };
    c->names = &mega_names_hf_gpt2;
    c->bos = t.bos;
    c->eos = t.eos;
    c->pad = t.pad;
    return MEGA_OK;
}

/* ---- BERT ---- */

static mega_status read_bert(
    struct mega_foreign_config *c, const struct mega_document *d, const char *ignore)
{
    struct told t = { .longest = 512,
        .types = 2,
        .eps = 1e-12,
        .act = MEGA_ACT_GELU,
        .dropout = 0.1,
        .attention_dropout = 0.1,
        .bos = -1,
        .eos = -1,
        .pad = 0 };
    MEGA_TRY(read_keys(c, d, bert_keys, ignore, &t));
    MEGA_TRY(check_sizes(d, bert_keys, &t));
    MEGA_TRY(need(d, bert_keys, AT(ffn), t.ffn));
    struct mega_transformer_options *o = &c->options;
    mega_option_defaults(mega_transformer_encoder_table, o);
    o->vocabulary = t.vocabulary;
    o->width = t.width;
    o->plan.layers = t.layers;
    o->heads.each = t.heads;
    o->ffn.each = t.ffn;
    o->longest = t.longest;
    o->positions = MEGA_POSITIONS_LEARNED;
    o->embedding.types = t.types;
    o->embedding.norm = true;
    o->act = t.act;
    o->norm = MEGA_LAYERNORM;
    o->norm_eps = t.eps;
    o->placement = MEGA_PLACEMENT_POST;
    o->attention_bias = true;
    o->dropout = t.dropout;
    o->attention_dropout.each = t.attention_dropout;
    c->names = &mega_names_hf_bert;
    c->bos = t.bos;
    c->eos = t.eos;
    c->pad = t.pad;
    return MEGA_OK;
}

/* ---- any ---- */

static const struct {
    const char *type, *architecture;
    mega_status (*read)(
        struct mega_foreign_config *c, const struct mega_document *d, const char *ignore);
} models[] = { { "llama", "LlamaForCausalLM", read_llama },
    { "gpt2", "GPT2LMHeadModel", read_gpt2 },
    { "bert", "BertModel|BertForMaskedLM|BertForPreTraining", read_bert } };

mega_status mega_foreign_config_read(
    struct mega_foreign_config *c, const struct mega_document *d, const char *ignore)
{
    *c = (struct mega_foreign_config){ 0 };
    const struct mega_node *type = mega_node_find(d->root, "model_type"),
                           *list = mega_node_find(d->root, "architectures"),
                           *kind = list && list->kind == MEGA_NODE_LIST ? list->first : NULL;
    if (!type || type->kind != MEGA_NODE_TEXT)
        return mega_fail(MEGA_BAD_FILE,
            "%s: the key model_type is missing: not a configuration of Hugging Face", d->name);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].type, type->text) != 0) continue;
        if (kind && (kind->kind != MEGA_NODE_TEXT ||
                        mega_choice_find(models[i].architecture, kind->text) < 0))
            return refuse(d, kind, "architectures", models[i].architecture);
        mega_status status = models[i].read(c, d, ignore);
        if (status) mega_foreign_config_done(c);
        return status;
    }
    return refuse(d, type, "model_type", "llama, gpt2 or bert");
}

void mega_foreign_config_done(struct mega_foreign_config *c)
{
    mega_text_done(&c->remark);
    *c = (struct mega_foreign_config){ 0 };
}

struct mega_rename_heads mega_foreign_heads(const struct mega_transformer_options *o)
{
    return (struct mega_rename_heads){ o->heads.each,
        o->kv_heads.each ? o->kv_heads.each : o->heads.each, o->attention.rotary.interleaved };
}
