#include "cli/bench_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- a classifier ---- */

/* what only one of the mixers has */
static void describe_mixer(struct mega_text *text, const struct mega_bench_model *o)
{
    char mixer[32], attention[32];
    mega_choice_name(MEGA_MIXER_CHOICES, o->mixer, mixer, sizeof mixer);
    mega_choice_name(MEGA_ATTENTION_CHOICES, o->attention, attention, sizeof attention);
    mega_text_add(text, "mixer: %s, ", mixer);
    if (!strcmp(mixer, "attention"))
        mega_text_add(text,
            "heads: %lld, kv_heads: %lld, attention_bias: true, positions: learned, "
            "activation: gelu",
            (long long)o->heads, (long long)o->kv_heads);
    else
        mega_text_add(text, "values: %lld, keys: %lld, ema: %lld, attention: %s",
            (long long)o->values, (long long)o->keys, (long long)o->ema, attention);
}

static void describe_classifier(
    struct mega_text *text, const struct mega_bench_model *o, int64_t longest)
{
    char norm[32], recompute[32];
    mega_choice_name(MEGA_RECOMPUTE_CHOICES, o->recompute, recompute, sizeof recompute);
    mega_choice_name(MEGA_NORM_CHOICES, o->norm, norm, sizeof norm);
    describe_mixer(text, o);
    mega_text_add(text,
        ", layers: %lld, width: %lld, ffn: %lld, chunk: %lld, longest: %lld, norm: %s, "
        "prenorm: %s, dropout: %g, head_width: %lld, recompute: %s",
        (long long)o->layers, (long long)o->width, (long long)o->ffn,
        (long long)(o->chunk ? o->chunk : -1), (long long)longest, norm,
        o->prenorm ? "true" : "false", o->dropout, (long long)o->values, recompute);
}

/* ---- a language model ---- */

/* one of the decoder's own settings, if it has it */
static void set(struct mega_text *text, const struct mega_decoder_type *d, const char *name,
    const char *format, ...) MEGA_PRINTF(4, 5);

static void set(struct mega_text *text, const struct mega_decoder_type *d, const char *name,
    const char *format, ...)
{
    char value[64];
    if (!mega_option_find(d->options, name)) return;
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    mega_text_add(text, ", %s: %s", name, value);
}

static void set_choice(struct mega_text *text, const struct mega_decoder_type *d,
    const char *name, const char *choices, int value)
{
    char word[32];
    mega_choice_name(choices, value, word, sizeof word);
    set(text, d, name, "%s", word);
}

static void describe_decoder(
    struct mega_text *text, const struct mega_bench_model *o, int64_t longest)
{
    const struct mega_decoder_type *d = mega_decoders[o->decoder - 1];
    bool averages = mega_option_find(d->options, "ema") != NULL;
    mega_text_add(text, "decoder: %s", d->name);
    set(text, d, "layers", "%lld", (long long)o->layers);
    set(text, d, "width", "%lld", (long long)o->width);
    set(text, d, "ffn", "%lld", (long long)o->ffn);
    set(text, d, "heads", "%lld", (long long)o->heads);
    set(text, d, "kv_heads", "%lld", (long long)o->kv_heads);
    set(text, d, "longest", "%lld", (long long)longest);
    set(text, d, "dropout", "%g", o->dropout);
    set_choice(text, d, "recompute", MEGA_RECOMPUTE_CHOICES, o->recompute);
    if (!averages) {
        /* keys and values are those of a head, which width and heads decide */
        set(text, d, "chunk", "%lld", (long long)(o->chunk ? o->chunk : -1));
        return;
    }
    bool mega = mega_option_find(d->options, "attention") != NULL;
    set(text, d, "chunk", "%lld", (long long)(o->chunk ? o->chunk : mega ? -1 : longest));
    set(text, d, "values", "%lld", (long long)o->values);
    set(text, d, "keys", "%lld", (long long)o->keys);
    set(text, d, "ema", "%lld", (long long)o->ema);
    set(text, d, "groups", "%lld", (long long)o->groups);
    set(text, d, "swiglu", "%s", o->swiglu ? "true" : "false");
    set(text, d, "prenorm", "%s", o->prenorm ? "true" : "false");
    set_choice(text, d, "norm", MEGA_NORM_CHOICES, o->norm);
    set_choice(text, d, "attention", MEGA_ATTENTION_CHOICES, o->attention);
}

/* ---- either ---- */

mega_status mega_bench_model_configure(
    const struct mega_bench_model *o, int64_t longest, struct mega_model_config *c)
{
    struct mega_text text = { 0 };
    struct mega_document d;
    enum mega_architecture kind = o->decoder ? MEGA_LANGUAGE_MODEL : MEGA_CLASSIFIER;
    mega_text_add(&text, "model: { ");
    (o->decoder ? describe_decoder : describe_classifier)(&text, o, longest);
    mega_text_add(&text, " }\n");
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory")
                                     : mega_yaml_parse(&d, "the flags", text.data, text.size);
    mega_text_done(&text);
    if (status) return status;
    status = mega_model_config_read(c, kind, &d, mega_node_find(d.root, "model"));
    mega_document_done(&d);
    c->task = (struct mega_classifier_task){ { .vocabulary = o->vocab }, o->classes, 1 };
    c->language.vocabulary = (struct mega_vocabulary){ o->vocab, -1 };
    return status;
}
