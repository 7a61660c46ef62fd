/* Our config.json for a Transformer of others. */
#include <string.h>

#include "model/foreign.h"
#include "model/model.h"
#include "op/contracts.h"

struct writer {
    struct mega_text *to;
    bool more;
};

static void key(struct writer *w, const char *name)
{
    mega_text_add(w->to, "%s\n    \"%s\": ", w->more ? "," : "", name);
    w->more = true;
}

static void add_int(struct writer *w, const char *name, int64_t value)
{
    key(w, name);
    mega_text_add(w->to, "%lld", (long long)value);
}

static void add_real(struct writer *w, const char *name, double value)
{
    key(w, name);
    mega_json_add_real(w->to, value);
}

static void add_switch(struct writer *w, const char *name, bool value)
{
    key(w, name);
    mega_text_add(w->to, "%s", value ? "true" : "false");
}

/* the word of a choice, which is always one of them */
static void add_choice(struct writer *w, const char *name, const char *choices, int value)
{
    char word[64] = "";
    mega_choice_name(choices, value, word, sizeof word);
    key(w, name);
    mega_json_add_text(w->to, word, strlen(word));
}

static void add_sizes(struct writer *w, const struct mega_transformer_options *o)
{
    add_int(w, "layers", o->plan.layers);
    add_int(w, "width", o->width);
    add_int(w, "heads", o->heads.each);
    add_int(w, "ffn", o->ffn.each);
    add_int(w, "longest", o->longest);
    add_real(w, "norm_eps", o->norm_eps);
    add_switch(w, "tied", o->tied);
}

static void add_llama(struct writer *w, const struct mega_transformer_options *o)
{
    add_sizes(w, o);
    add_int(w, "kv_heads", o->kv_heads.each);
    add_int(w, "head_width", o->keys.each);
    add_real(w, "rope_theta", o->attention.rotary.base);
    add_switch(w, "interleaved", o->attention.rotary.interleaved);
}

static void add_gpt2(struct writer *w, const struct mega_transformer_options *o)
{
    add_sizes(w, o);
    add_choice(w, "activation", MEGA_ACT_CHOICES, o->act);
    add_real(w, "dropout", o->dropout);
    add_real(w, "attention_dropout", o->attention_dropout.each);
}

static void add_transformer(struct writer *w, const struct mega_transformer_options *o)
{
    add_sizes(w, o);
    add_int(w, "kv_heads", o->kv_heads.each);
    add_int(w, "keys", o->keys.each);
    add_choice(w, "positions", MEGA_POSITIONS_CHOICES, o->positions);
    add_int(w, "rotary_dims", o->attention.rotary.dims);
    add_real(w, "rotary_base", o->attention.rotary.base);
    add_real(w, "rotary_factor", o->attention.rotary.factor);
    add_switch(w, "rotary_interleaved", o->attention.rotary.interleaved);
    add_choice(w, "activation", MEGA_ACT_CHOICES, o->act);
    add_switch(w, "gated", o->gated);
    add_choice(w, "norm", MEGA_NORM_CHOICES, o->norm);
    add_switch(w, "norm_bias", o->norm_bias);
    add_choice(w, "placement", MEGA_PLACEMENT_CHOICES, o->placement);
    add_switch(w, "attention_bias", o->attention_bias);
    add_switch(w, "up_bias", o->up_bias);
    add_switch(w, "down_bias", o->down_bias);
    add_real(w, "dropout", o->dropout);
    add_real(w, "attention_dropout", o->attention_dropout.each);
}

/* what the decoder llama has no keys for */
static bool is_plain_llama(const struct mega_transformer_options *o)
{
    return o->act == MEGA_ACT_SILU && !o->attention_bias && !o->up_bias &&
           o->attention.rotary.factor >= 1 && o->attention.rotary.factor <= 1 &&
           !(o->attention_dropout.each > 0);
}

static void add_masked(const struct mega_foreign_config *c, struct mega_text *json)
{
    struct mega_masked_model_options o = { c->options, c->pooler, c->masked, c->next };
    struct mega_model_config config = { .architecture = MEGA_MASKED_MODEL,
        .masked = { o, { c->options.vocabulary, c->pad } } };
    mega_model_config_json(&config, NULL, json);
}

void mega_foreign_json(const struct mega_foreign_config *c, struct mega_text *json)
{
    if (c->names == &mega_names_hf_bert) {
        add_masked(c, json);
        return;
    }
    const struct mega_transformer_options *o = &c->options;
    bool gpt2 = c->names == &mega_names_hf_gpt2, llama = !gpt2 && is_plain_llama(o);
    struct writer w = { json, true };
    mega_text_add(json,
        "{\n  \"megac\": 1,\n  \"architecture\": \"language_model\",\n  \"model\": {\n"
        "    \"decoder\": \"%s\"",
        gpt2    ? "gpt2"
        : llama ? "llama"
                : "transformer");
    (gpt2 ? add_gpt2 : llama ? add_llama : add_transformer)(&w, o);
    mega_text_add(json, "\n  },\n  \"inputs\": { \"vocabulary\": %lld, \"pad\": %lld }\n}\n",
        (long long)o->vocabulary, (long long)c->pad);
}
