#include "model/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/transformer_decoder.h"
#include "model/transformer_rules.h"
#include "op/contracts.h"

static int64_t head_of(const struct mega_transformer_options *o)
{
    return o->keys.each ? o->keys.each : o->heads.each ? o->width / o->heads.each : 0;
}

/* rotary: rope is another word for all channels of a head, or some */
static void name_rotary(struct mega_transformer_options *o)
{
    struct mega_rotary_options *r = &o->attention.rotary;
    if (r->kind != MEGA_ROTARY_ROPE) return;
    r->kind = MEGA_ROTARY_NONE;
    if (!r->dims) r->dims = head_of(o);
}

/* of a language model that is a Transformer */
static mega_status language_options(const mega_model *m, struct mega_transformer_options *out)
{
    const struct mega_language_model *l = &m->language;
    if (m->config.architecture != MEGA_LANGUAGE_MODEL ||
        l->decoder->features != mega_transformer_decode)
        return mega_fail(MEGA_UNSUPPORTED,
            "this model is a %s: other programs have files for Llama, GPT-2 and BERT alone",
            m->config.architecture == MEGA_LANGUAGE_MODEL ? l->decoder->title : "classifier");
    *out = ((const struct mega_transformer *)l->self)->options;
    name_rotary(out);
    return MEGA_OK;
}

mega_status mega_export_options(const mega_model *m, struct mega_foreign_config *c)
{
    const struct mega_masked_model_options *o = &m->masked.options;
    c->names = NULL;
    if (m->config.architecture != MEGA_MASKED_MODEL) return language_options(m, &c->options);
    c->names = &mega_names_hf_bert;
    c->options = m->masked.encoder.options;
    c->pooler = o->pooler;
    c->masked = o->masked;
    c->next = o->next;
    return MEGA_OK;
}

/* ---- what others can compute ---- */

struct demand {
    bool met;
    const char *what;
};

static mega_status check(const struct demand *d, const char *program)
{
    for (; d->what; d++)
        if (!d->met) return mega_fail(MEGA_UNSUPPORTED, "%s cannot have %s", program, d->what);
    return MEGA_OK;
}

static bool is(double value, double wanted)
{
    return value >= wanted && value <= wanted;
}

/* what both kinds of Llama's files and GPT-2's have in common */
static mega_status check_decoder(const struct mega_transformer_options *o, const char *program)
{
    const char *unusual = mega_transformer_unusual(o, mega_transformer_core);
    if (unusual)
        return mega_fail(MEGA_UNSUPPORTED, "%s cannot have the option %s", program, unusual);
    const struct demand d[] = { { o->causal, "attention to what follows" },
        { o->placement == MEGA_PLACEMENT_PRE, "norms that are not before the branches" },
        { o->final_norm != MEGA_FINAL_NORM_OFF, "no final norm" },
        { o->chunk.each == -1 && !o->chunk.n, "an attention window" },
        { o->norm_affine, "norms without gains" }, { !o->head_bias, "a bias of the head" },
        { !o->kept_heads || !*o->kept_heads, "heads that were removed (kept_heads)" },
        { o->gates.kind == MEGA_GATES_NONE, "gates of heads" },
        { !o->values.each || o->values.each == o->keys.each,
            "values of another width than keys" },
        { true, NULL } };
    return check(d, program);
}

static mega_status check_llama(const struct mega_transformer_options *o, const char *program)
{
    const struct demand d[] = { { o->norm == MEGA_RMSNORM, "other norms than RMSNorm" },
        { o->positions == MEGA_POSITIONS_NONE, "absolute positions" },
        { o->attention.rotary.dims == head_of(o),
            "rotary positions of a part of each head, or none" },
        { o->gated, "a feed-forward without a gate" },
        { o->up_bias == o->down_bias, "biases of a part of the feed-forward" },
        { true, NULL } };
    MEGA_TRY(check_decoder(o, program));
    return check(d, program);
}

static mega_status check_gpt2(const struct mega_transformer_options *o, const char *program)
{
    const struct demand d[] = { { o->norm == MEGA_LAYERNORM && o->norm_bias,
                                    "other norms than LayerNorm with a bias" },
        { o->positions == MEGA_POSITIONS_LEARNED && is(o->position_scale, 1),
            "other positions than learned ones" },
        { !o->attention.rotary.dims, "rotary positions" },
        { !o->gated, "a feed-forward with a gate" },
        { o->attention_bias && o->up_bias && o->down_bias, "linear layers without biases" },
        { !o->kv_heads.each || o->kv_heads.each == o->heads.each, "grouped heads" },
        { head_of(o) * o->heads.each == o->width, "heads of another width than D/H" },
        { true, NULL } };
    MEGA_TRY(check_decoder(o, program));
    return check(d, program);
}

static mega_status check_llama2c(const struct mega_transformer_options *o)
{
    static const char program[] = "a file of llama2.c";
    const struct demand d[] = { { is(o->norm_eps, (double)1e-5f) || is(o->norm_eps, 1e-5),
                                    "another epsilon of norms than 1e-5" },
        { is(o->attention.rotary.base, 10000) && is(o->attention.rotary.factor, 1),
            "another rotary base than 10000, or scaled positions" },
        { o->act == MEGA_ACT_SILU, "another function than silu" },
        { !o->attention_bias && !o->up_bias, "biases" },
        { head_of(o) * o->heads.each == o->width, "heads of another width than D/H" },
        { true, NULL } };
    MEGA_TRY(check_llama(o, program));
    return check(d, program);
}

/* options that a BERT is made of, or that others do not notice */
static const char *const bert_known[] = { "layers", "width", "ffn", "longest", "heads",
    "positions", "position_scale", "attention_bias", "activation", "up_bias", "down_bias",
    "norm", "norm_eps", "norm_affine", "norm_bias", "placement", "final_norm", "type_emb",
    "post_emb_norm", "dropout", "attention_dropout", "recompute", "init_std", "attn_init",
    "zero_init_branch_output", "branch_init_depth", NULL };

/* ends of a file: those with a pooled vector belong to pretraining or to no task at all */
static const char *bert_architecture(const struct mega_foreign_config *c)
{
    return c->next ? "BertForPreTraining" : c->masked ? "BertForMaskedLM" : "BertModel";
}

static mega_status check_bert(const struct mega_foreign_config *c)
{
    static const char program[] = "a BERT of Hugging Face";
    const struct mega_transformer_options *o = &c->options;
    const char *unusual = mega_transformer_unusual(o, bert_known);
    if (unusual)
        return mega_fail(MEGA_UNSUPPORTED, "%s cannot have the option %s", program, unusual);
    const struct demand d[] = { { o->placement == MEGA_PLACEMENT_POST,
                                    "norms that are not behind the branches" },
        { o->norm == MEGA_LAYERNORM && o->norm_bias && o->norm_affine,
            "other norms than LayerNorm with gains and biases" },
        { o->embedding.norm && o->embedding.types > 0, "embeddings without types and a norm" },
        { o->positions == MEGA_POSITIONS_LEARNED && is(o->position_scale, 1),
            "other positions than learned ones" },
        { !o->gated, "a feed-forward with a gate" },
        { o->attention_bias && o->up_bias && o->down_bias, "linear layers without biases" },
        { head_of(o) * o->heads.each == o->width, "heads of another width than D/H" },
        { o->final_norm != MEGA_FINAL_NORM_ON, "a final norm" },
        { o->chunk.each == -1, "an attention window" }, { true, NULL } };
    return check(d, program);
}

/* ---- tensors ---- */

struct exporter {
    const struct mega_store *store;
    const struct mega_name_table *names;
    struct mega_rename_heads heads;
    mega_dtype type; /* of the tensors that are written */
};

/* writes one of ours into its part of theirs */
static void put(const struct exporter *e, const struct mega_rename *r,
    const struct mega_param *p, float *theirs)
{
    const mega_tensor *t = &p->value;
    int64_t rows = t->dim[0], columns = t->rank == 2 ? t->dim[1] : 1;
    struct mega_rename_place place = mega_rename_place(e->names, r, &e->heads, rows, columns);
    const float *ours = t->data;
    for (int64_t i = 0; i < rows * columns; i++)
        theirs[mega_rename_index(&place, i / columns, i % columns)] = ours[i];
}

/* all of ours that make the tensor `name` of theirs */
static mega_status fill(void *self, const char *name, float *to, int64_t count)
{
    const struct exporter *e = self;
    int64_t filled = 0;
    for (const struct mega_param *p = e->store->first; p; p = p->next) {
        char theirs[MEGA_RENAME_NAME];
        const struct mega_rename *r = mega_rename_theirs(e->names, p->name, NULL, theirs);
        if (!r || strcmp(theirs, name) != 0) continue;
        filled += p->count;
        if (filled <= count) put(e, r, p, to);
    }
    return filled == count
               ? MEGA_OK
               : mega_fail(MEGA_INTERNAL, "tensor %s has %lld numbers, expected %lld", name,
                     (long long)filled, (long long)count);
}

/* Theirs, in the order of ours; names and numbers are freed by free_tensors. */
struct list {
    struct mega_st_tensor *tensor;
    float **numbers;
    char **name;
    int n;
};

static void free_list(struct list *l)
{
    for (int i = 0; i < l->n; i++) {
        free(l->numbers[i]);
        free(l->name[i]);
    }
    free(l->tensor);
    free(l->numbers);
    free(l->name);
}

/* in place: two bytes never reach beyond the four that they come from */
static void narrow(float *numbers, int64_t n, mega_dtype type)
{
    uint16_t (*to)(float) = type == MEGA_BF16 ? mega_to_bf16 : mega_to_f16;
    for (int64_t i = 0; i < n; i++) {
        uint16_t half = to(numbers[i]);
        memcpy((char *)numbers + (size_t)i * sizeof half, &half, sizeof half);
    }
}

static mega_status add_tensor(const struct exporter *e, struct list *l,
    const struct mega_rename *r, const struct mega_param *p, const char *theirs)
{
    struct mega_st_tensor *t = &l->tensor[l->n];
    *t = (struct mega_st_tensor){ .rank = p->value.rank };
    strcpy(t->dtype, mega_dtype_name(e->type));
    mega_rename_shape(r, t->rank, p->value.dim, t->dim);
    int64_t count = p->count * (r->parts ? r->parts : 1);
    l->name[l->n] = strdup(theirs);
    float *numbers = l->numbers[l->n] = malloc((size_t)count * sizeof *numbers);
    t->name = l->name[l->n];
    t->data = numbers;
    l->n++;
    if (!t->name || !numbers) return mega_fail(MEGA_NO_MEMORY, "no memory for %s", theirs);
    MEGA_TRY(fill((void *)(uintptr_t)e, theirs, numbers, count));
    if (e->type != MEGA_F32) narrow(numbers, count, e->type);
    return MEGA_OK;
}

static mega_status list_tensors(const struct exporter *e, struct list *l)
{
    size_t most = (size_t)e->store->n_params + 1;
    *l = (struct list){ calloc(most, sizeof *l->tensor), calloc(most, sizeof *l->numbers),
        calloc(most, sizeof *l->name), 0 };
    if (!l->tensor || !l->numbers || !l->name)
        return mega_fail(MEGA_NO_MEMORY, "no memory to export");
    for (const struct mega_param *p = e->store->first; p; p = p->next) {
        char theirs[MEGA_RENAME_NAME];
        const struct mega_rename *r = mega_rename_theirs(e->names, p->name, NULL, theirs);
        if (!r)
            return mega_fail(
                MEGA_UNSUPPORTED, "a %s has no place for tensor %s", e->names->title, p->name);
        if (!r->part) MEGA_TRY(add_tensor(e, l, r, p, theirs));
    }
    return MEGA_OK;
}

/* ---- config.json ---- */

static const char *act_name(int act)
{
    switch (act) {
    case MEGA_ACT_SILU: return "silu";
    case MEGA_ACT_GELU: return "gelu";
    case MEGA_ACT_GELU_TANH: return "gelu_new";
    case MEGA_ACT_RELU: return "relu";
    case MEGA_ACT_RELU2: return "relu2";
    default: return NULL;
    }
}

static void add_int(struct mega_text *to, const char *key, int64_t value)
{
    mega_text_add(to, "  \"%s\": %lld,\n", key, (long long)value);
}

static void add_id(struct mega_text *to, const char *key, int64_t id)
{
    if (id >= 0)
        add_int(to, key, id);
    else
        mega_text_add(to, "  \"%s\": null,\n", key);
}

static void add_real(struct mega_text *to, const char *key, double value)
{
    mega_text_add(to, "  \"%s\": ", key);
    mega_json_add_real(to, value);
    mega_text_add(to, ",\n");
}

static void add_switch(struct mega_text *to, const char *key, bool value)
{
    mega_text_add(to, "  \"%s\": %s,\n", key, value ? "true" : "false");
}

static void add_llama(struct mega_text *to, const struct mega_transformer_options *o)
{
    mega_text_add(to, "  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  "
                      "\"model_type\": \"llama\",\n");
    add_int(to, "hidden_size", o->width);
    add_int(to, "intermediate_size", o->ffn.each);
    add_int(to, "num_hidden_layers", o->plan.layers);
    add_int(to, "num_attention_heads", o->heads.each);
    add_int(to, "num_key_value_heads", o->kv_heads.each ? o->kv_heads.each : o->heads.each);
    add_int(to, "head_dim", head_of(o));
    add_int(to, "vocab_size", o->vocabulary);
    add_int(to, "max_position_embeddings", o->longest);
    add_real(to, "rms_norm_eps", o->norm_eps);
    add_real(to, "rope_theta", o->attention.rotary.base);
    if (is(o->attention.rotary.factor, 1)) {
        mega_text_add(to, "  \"rope_scaling\": null,\n");
    } else {
        mega_text_add(to,
            "  \"rope_scaling\": {\n    \"type\": \"linear\",\n    \"rope_type\": \"linear\",\n"
            "    \"factor\": ");
        mega_json_add_real(to, o->attention.rotary.factor);
        mega_text_add(to, "\n  },\n");
    }
    mega_text_add(to, "  \"hidden_act\": \"%s\",\n", act_name(o->act));
    add_switch(to, "attention_bias", o->attention_bias);
    add_switch(to, "mlp_bias", o->up_bias);
    add_real(to, "attention_dropout", o->attention_dropout.each);
}

static void add_gpt2(struct mega_text *to, const struct mega_transformer_options *o)
{
    mega_text_add(to,
        "  \"architectures\": [\n    \"GPT2LMHeadModel\"\n  ],\n  \"model_type\": \"gpt2\",\n");
    add_int(to, "n_embd", o->width);
    add_int(to, "n_layer", o->plan.layers);
    add_int(to, "n_head", o->heads.each);
    add_int(to, "n_positions", o->longest);
    add_int(to, "n_inner", o->ffn.each);
    add_int(to, "vocab_size", o->vocabulary);
    add_real(to, "layer_norm_epsilon", o->norm_eps);
    mega_text_add(to, "  \"activation_function\": \"%s\",\n", act_name(o->act));
    add_real(to, "resid_pdrop", o->dropout);
    add_real(to, "embd_pdrop", o->dropout);
    add_real(to, "attn_pdrop", o->attention_dropout.each);
    add_switch(to, "scale_attn_weights", true);
    add_switch(to, "scale_attn_by_inverse_layer_idx", false);
    add_switch(to, "reorder_and_upcast_attn", false);
}

static void add_bert(struct mega_text *to, const struct mega_foreign_config *c)
{
    const struct mega_transformer_options *o = &c->options;
    mega_text_add(to, "  \"architectures\": [\n    \"%s\"\n  ],\n  \"model_type\": \"bert\",\n",
        bert_architecture(c));
    add_int(to, "hidden_size", o->width);
    add_int(to, "intermediate_size", o->ffn.each);
    add_int(to, "num_hidden_layers", o->plan.layers);
    add_int(to, "num_attention_heads", o->heads.each);
    add_int(to, "vocab_size", o->vocabulary);
    add_int(to, "type_vocab_size", o->embedding.types);
    add_int(to, "max_position_embeddings", o->longest);
    add_real(to, "layer_norm_eps", o->norm_eps);
    mega_text_add(to, "  \"hidden_act\": \"%s\",\n", act_name(o->act));
    add_real(to, "hidden_dropout_prob", o->dropout);
    add_real(to, "attention_probs_dropout_prob", o->attention_dropout.each);
    mega_text_add(to, "  \"position_embedding_type\": \"absolute\",\n");
}

static void add_model(struct mega_text *to, const struct mega_foreign_config *c,
    const struct mega_name_table *names)
{
    if (names == &mega_names_hf_bert)
        add_bert(to, c);
    else
        (names == &mega_names_hf_llama ? add_llama : add_gpt2)(to, &c->options);
}

static mega_status write_config(const char *folder, const struct mega_foreign_config *c,
    const struct mega_name_table *names, mega_dtype type)
{
    struct mega_text text = { 0 }, path = { 0 };
    mega_text_add(&path, "%s/config.json", folder);
    mega_text_add(&text, "{\n");
    add_model(&text, c, names);
    add_id(&text, "bos_token_id", c->bos);
    add_id(&text, "eos_token_id", c->eos);
    add_id(&text, "pad_token_id", c->pad);
    add_switch(&text, "tie_word_embeddings", c->options.tied || names == &mega_names_hf_bert);
    mega_text_add(&text, "  \"torch_dtype\": \"%s\"\n}\n",
        type == MEGA_F32    ? "float32"
        : type == MEGA_BF16 ? "bfloat16"
                            : "float16");
    mega_status status = text.failed || path.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder)
                             : mega_file_write(path.data, text.data, text.size);
    mega_text_done(&text);
    mega_text_done(&path);
    return status;
}

static mega_status write_weights(
    const char *folder, const struct exporter *e, int64_t shard_size)
{
    static const struct mega_st_entry meta[] = { { "format", "pt" } };
    struct list l;
    mega_status status = list_tensors(e, &l);
    if (!status)
        status = mega_safetensors_write_folder(folder, l.tensor, l.n, meta, 1, shard_size);
    free_list(&l);
    return status;
}

/* the names of the kind that c is */
static const struct mega_name_table *names_of(const struct mega_foreign_config *c)
{
    if (c->names == &mega_names_hf_bert) return c->names;
    return c->options.norm == MEGA_RMSNORM ? &mega_names_hf_llama : &mega_names_hf_gpt2;
}

mega_status mega_export_hf(const char *folder, const struct mega_store *s,
    const struct mega_foreign_config *c, mega_dtype type, int64_t shard_size)
{
    const struct mega_transformer_options *o = &c->options;
    const struct mega_name_table *names = names_of(c);
    MEGA_TRY(names == &mega_names_hf_bert    ? check_bert(c)
             : names == &mega_names_hf_llama ? check_llama(o, "a Llama of Hugging Face")
                                             : check_gpt2(o, "a GPT-2 of Hugging Face"));
    if (!act_name(o->act))
        return mega_fail(MEGA_UNSUPPORTED, "Hugging Face has no name for the activation");
    struct exporter e = { s, names, mega_foreign_heads(o), type };
    MEGA_TRY(mega_folder_make(folder));
    MEGA_TRY(write_weights(folder, &e, shard_size));
    return write_config(folder, c, names, type);
}

mega_status mega_export_llama2c(
    const char *path, const struct mega_store *s, const struct mega_transformer_options *o)
{
    MEGA_TRY(check_llama2c(o));
    struct exporter e = { s, &mega_names_meta_llama, mega_foreign_heads(o), MEGA_F32 };
    struct mega_llama2c_header h = { o->width, o->ffn.each, o->plan.layers, o->heads.each,
        e.heads.kv_heads, o->vocabulary, o->longest, o->tied };
    return mega_llama2c_write(path, &h, fill, &e);
}
