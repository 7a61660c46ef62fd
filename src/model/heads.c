#include "model/heads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/cut.h"
#include "model/decoder_mega.h"
#include "model/megalodon.h"
#include "model/transformer_decoder.h"
#include "model/transformer_options.h"
#include "model/transformer_rules.h"

extern const struct mega_mixer mega_mixer_attention, mega_mixer_mega;

/* ---- finding ---- */

const struct mega_transformer *mega_model_transformer(const mega_model *m)
{
    const struct mega_language_model *l = &m->language;
    const struct mega_classifier *c = &m->classifier;
    if (m->config.architecture == MEGA_CLASSIFIER)
        return c->kind == MEGA_ENCODER_TRANSFORMER ? &c->transformer : NULL;
    if (m->config.architecture == MEGA_MASKED_MODEL) return &m->masked.encoder;
    return m->config.architecture == MEGA_LANGUAGE_MODEL &&
                   l->decoder->features == mega_transformer_decode
               ? l->self
               : NULL;
}

static bool is_decoder(const mega_model *m, const char *name)
{
    return m->config.architecture == MEGA_LANGUAGE_MODEL &&
           !strcmp(m->language.decoder->name, name);
}

/* execution number i of a kind in a Transformer, each module once */
static const struct mega_transformer_sublayer *step_at(
    const struct mega_transformer *t, enum mega_branch_kind kind, int64_t i)
{
    for (int64_t k = 0; k < t->plan.steps; k++)
        if (t->step[k].kind == kind && !t->step[k].repeat && !i--) return &t->step[k];
    return NULL;
}

static struct mega_model_attention of_attention(
    const struct mega_attention *a, const char *path)
{
    return (struct mega_model_attention){ path, a->options.heads, &a->kept, &a->gates, a, NULL,
        NULL };
}

static struct mega_model_attention of_mega(
    const struct mega_gated_attention *a, const char *path)
{
    return (struct mega_model_attention){ path, 1, &a->kept, &a->gates, NULL, NULL, a };
}

/* attention number i of the model; false beyond the last */
static bool attention_at(const mega_model *m, int64_t i, struct mega_model_attention *to)
{
    const struct mega_transformer *t = mega_model_transformer(m);
    const struct mega_encoder *e = &m->classifier.encoder;
    if (t) {
        const struct mega_transformer_sublayer *s = step_at(t, MEGA_BRANCH_ATTENTION, i);
        if (s) *to = of_attention(&s->attention, s->path);
        return s;
    }
    if (is_decoder(m, "megalodon")) {
        const struct mega_megalodon *all = m->language.self;
        if (i >= all->options.layers) return false;
        const struct mega_megalodon_attention *a = &all->layer[i].block.mega;
        *to = (struct mega_model_attention){ all->layer[i].path, a->options.heads, &a->kept,
            &a->gates, NULL, a, NULL };
        return true;
    }
    if (is_decoder(m, "mega")) {
        const struct mega_mega_decoder *all = m->language.self;
        if (i < all->options.layers)
            *to = of_mega(&all->layer[i].attention, all->layer[i].path);
        return i < all->options.layers;
    }
    if (m->config.architecture != MEGA_CLASSIFIER || i >= e->options.layers) return false;
    if (e->layer[i].mixer == &mega_mixer_attention)
        *to = of_attention(e->layer[i].self, e->layer[i].path);
    else if (e->layer[i].mixer == &mega_mixer_mega)
        *to = of_mega(e->layer[i].self, e->layer[i].path);
    else
        return false;
    return true;
}

mega_status mega_model_heads_list(struct mega_model_heads *h, const mega_model *m)
{
    struct mega_model_attention a;
    *h = (struct mega_model_heads){ 0 };
    while (attention_at(m, h->layers, &a)) h->layers++;
    if (!h->layers)
        return mega_fail(MEGA_UNSUPPORTED,
            "this model has no attention heads that could be told apart: expected a language "
            "model or a classifier with a mixer");
    h->layer = calloc((size_t)h->layers, sizeof *h->layer);
    if (!h->layer) return mega_fail(MEGA_NO_MEMORY, "no memory for a list of heads");
    for (int64_t i = 0; i < h->layers; i++) {
        attention_at(m, i, &h->layer[i]);
        if (h->layer[i].heads > h->most) h->most = h->layer[i].heads;
    }
    return MEGA_OK;
}

mega_status mega_model_heads_find(struct mega_model_heads *h, const mega_model *m)
{
    MEGA_TRY(mega_model_heads_list(h, m));
    if (h->layer[0].attention) return MEGA_OK;
    mega_model_heads_done(h);
    return mega_fail(MEGA_UNSUPPORTED,
        "this model is a %s, which has no attention heads to be told apart: expected a "
        "Transformer (gpt2, llama, transformer) or a classifier with mixer attention",
        m->config.architecture == MEGA_LANGUAGE_MODEL ? m->language.decoder->title
                                                      : "classifier with mixer mega");
}

void mega_model_heads_done(struct mega_model_heads *h)
{
    free(h->layer);
    *h = (struct mega_model_heads){ 0 };
}

double mega_model_head_gate(const struct mega_model_attention *a, int64_t k)
{
    if (a->attention) return mega_attention_gate(a->attention, k);
    double branch = a->megalodon ? mega_head_gates_value(&a->megalodon->branch, 0) : 1;
    return branch * mega_head_gates_value(a->gates, k);
}

const struct mega_mlp *mega_model_mlp(const mega_model *m, int64_t i)
{
    const struct mega_transformer *t = mega_model_transformer(m);
    const struct mega_transformer_sublayer *s = t ? step_at(t, MEGA_BRANCH_MLP, i) : NULL;
    if (is_decoder(m, "megalodon")) {
        const struct mega_megalodon *all = m->language.self;
        return i < all->options.layers ? &all->layer[i].block.nffn.mlp : NULL;
    }
    if (is_decoder(m, "mega")) {
        const struct mega_mega_decoder *all = m->language.self;
        return i < all->options.layers && all->options.ffn ? &all->layer[i].feed_forward.mlp
                                                           : NULL;
    }
    return s ? &s->mlp : NULL;
}

/* ---- the new configuration ---- */

static void set_choice(
    const struct mega_option *table, void *options, const char *name, int value)
{
    const struct mega_option *o = mega_option_find(table, name);
    if (o) *(int *)(void *)((char *)options + o->offset) = value;
}

static void set_text(
    const struct mega_option *table, void *options, const char *name, const char *value)
{
    const struct mega_option *o = value ? mega_option_find(table, name) : NULL;
    if (o) *(const char **)(void *)((char *)options + o->offset) = value;
}

/* a gate a head is called after branches where there is one head */
static void set(const struct mega_option *table, void *options,
    const struct mega_model_heads_change *change)
{
    bool heads = mega_option_find(table, "head_gates");
    set_text(table, options, "kept_heads", change->kept);
    set_text(table, options, "kept_channels", change->channels);
    set_choice(table, options, "branch_gates", heads ? MEGA_GATES_NONE : change->gates);
    set_choice(table, options, "head_gates", change->gates);
    if (!change->fold) return;
    set_choice(table, options, "group_gates", MEGA_GATES_NONE);
    set_choice(table, options, "channel_gates", MEGA_GATES_NONE);
}

/* What a preset does not speak of is 0 in its options: where that cannot be, it is as usual. */
static void fill(const struct mega_option *table, void *options, const void *usual)
{
    for (const struct mega_option *o = table; o->name; o++) {
        void *field = (char *)options + o->offset;
        const void *from = (const char *)usual + o->offset;
        if (!(o->least > 0)) continue;
        if (o->type == MEGA_OPTION_INT && !*(int64_t *)field)
            memcpy(field, from, sizeof(int64_t));
        if (o->type == MEGA_OPTION_REAL && !(fabs(*(double *)field) > 0))
            memcpy(field, from, sizeof(double));
    }
}

static mega_status configure(struct mega_model_config *c, const mega_model *m,
    const struct mega_model_heads_change *change)
{
    *c = m->config;
    const struct mega_transformer *t = mega_model_transformer(m);
    if (!t) {
        bool classifier = c->architecture == MEGA_CLASSIFIER;
        set(classifier ? mega_mixers[c->encoder.mixer]->options : m->language.decoder->options,
            classifier ? (void *)c->mixer : (void *)c->language.options, change);
        return MEGA_OK;
    }
    if (c->architecture != MEGA_LANGUAGE_MODEL) {
        set(mega_transformer_encoder_table,
            c->architecture == MEGA_CLASSIFIER ? &c->transformer : &c->masked.options.encoder,
            change);
        return MEGA_OK;
    }
    bool preset = strcmp(mega_decoders[c->language.decoder]->name, "transformer") != 0;
    while (strcmp(mega_decoders[c->language.decoder]->name, "transformer") != 0)
        c->language.decoder =
            mega_decoders[c->language.decoder + 1] ? c->language.decoder + 1 : 0;
    const struct mega_decoder_type *decoder = mega_decoders[c->language.decoder];
    struct mega_transformer_options o = t->options, usual = { 0 };
    mega_option_defaults(decoder->options, &usual);
    fill(decoder->options, &o, &usual);
    if (!(o.gates.concrete.temperature > 0)) o.gates = usual.gates;
    if (preset) mega_transformer_complete(&o);
    memset(c->language.options, 0, sizeof c->language.options);
    memcpy(c->language.options, &o, sizeof o);
    set(decoder->options, c->language.options, change);
    return MEGA_OK;
}

mega_status mega_model_heads_config(const mega_model *m, const char *task, struct mega_text *to)
{
    mega_model_config_json(&m->config, task, to);
    return to->failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a configuration") : MEGA_OK;
}

/* by way of its text, so that the model owns all that its configuration says */
static mega_status declare(
    mega_model **out, const mega_model *m, const struct mega_model_heads_change *change)
{
    struct mega_model_config c;
    struct mega_document d = { 0 };
    struct mega_text text = { 0 };
    MEGA_TRY(configure(&c, m, change));
    mega_model_config_json(&c, change->task, &text);
    mega_status status = text.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory for a configuration")
                             : mega_json_parse(&d, "config.json", text.data, text.size);
    mega_text_done(&text);
    if (!status) status = mega_model_config_parse(&c, &d);
    if (!status) status = mega_model_new(out, &c, true, change->for_training);
    if (status)
        mega_document_done(&d);
    else
        (*out)->document = d;
    return status;
}

/* ---- numbers ---- */

static bool is_gate(const char *name)
{
    const char *leaf = strstr(name, "gate.");
    while (leaf && strstr(leaf + 1, "gate.")) leaf = strstr(leaf + 1, "gate.");
    return leaf && (!strcmp(leaf, "gate.log_a") || !strcmp(leaf, "gate.open"));
}

static void copy(mega_tensor *to, const mega_tensor *from)
{
    mega_tensor_copy(to, from);
    if (to->param) to->param->version++;
}

/* every parameter that both have in one shape; `cut`: others are left for later */
static mega_status take(mega_model *to, const mega_model *from, bool cut)
{
    for (struct mega_param *p = to->store.first; p; p = p->next) {
        const struct mega_param *old = mega_store_find(&from->store, p->name);
        char have[96], want[96];
        if (old && mega_same_shape(&p->value, &old->value)) {
            copy(&p->value, &old->value);
        } else if (!cut && !is_gate(p->name)) {
            mega_tensor_print(&p->value, want);
            return mega_fail(MEGA_BAD_ARGUMENT,
                "the model to start from has %s of shape %s, expected %s", p->name,
                old ? mega_tensor_print(&old->value, have) : "(none)", want);
        }
    }
    for (struct mega_cell *c = to->store.first_cell; c; c = c->next) {
        const struct mega_cell *old = mega_store_find_cell(&from->store, c->name);
        if (c->kind == MEGA_CELL_MODEL && old && mega_same_shape(&c->value, &old->value))
            mega_tensor_copy(&c->value, &old->value);
    }
    return MEGA_OK;
}

mega_status mega_model_take(mega_model *to, const mega_model *from)
{
    return take(to, from, false);
}

/* a parameter that was neither copied nor cut: nobody knows which of its numbers belong to a
 * head */
static mega_status check_all(const mega_model *to)
{
    for (const struct mega_param *p = to->store.first; p; p = p->next)
        if (!p->version && !is_gate(p->name))
            return mega_fail(MEGA_UNSUPPORTED,
                "no head can be removed from this model: what of %s belongs to a head is not "
                "known",
                p->name);
    return MEGA_OK;
}

static mega_status cut_heads(
    const mega_model *to, const mega_model *from, const struct mega_model_heads_change *change)
{
    struct mega_model_heads old, new;
    MEGA_TRY(mega_model_heads_list(&old, from));
    mega_status status = mega_model_heads_list(&new, to);
    for (int64_t i = 0; i < old.layers && !status; i++) {
        const struct mega_model_attention *a = &old.layer[i], *b = &new.layer[i];
        status = a->attention ? mega_cut_attention(a->attention, b->attention, i, change->fold)
                 : a->megalodon
                     ? mega_cut_megalodon(a->megalodon, b->megalodon, i, change->fold)
                     : mega_cut_mega(a->mega, b->mega, i, change->fold);
    }
    mega_model_heads_done(&new);
    mega_model_heads_done(&old);
    return status;
}

static mega_status cut_all(
    mega_model *to, const mega_model *from, const struct mega_model_heads_change *change)
{
    for (struct mega_param *p = to->store.first; p; p = p->next) p->version = 0;
    MEGA_TRY(take(to, from, true));
    MEGA_TRY(cut_heads(to, from, change));
    const struct mega_mlp *f;
    for (int64_t i = 0; (f = mega_model_mlp(from, i)) != NULL; i++)
        MEGA_TRY(mega_cut_mlp(f, mega_model_mlp(to, i), i, change->fold));
    return check_all(to);
}

mega_status mega_model_heads_change(
    mega_model **out, const mega_model *m, const struct mega_model_heads_change *change)
{
    struct mega_model_heads h;
    *out = NULL;
    MEGA_TRY(mega_model_heads_list(&h, m));
    mega_model_heads_done(&h);
    mega_model *new = NULL;
    MEGA_TRY(declare(&new, m, change));
    mega_store_fill(&new->store, 1);
    mega_status status = cut_all(new, m, change);
    if (status)
        mega_model_free(new);
    else
        *out = new;
    return status;
}
