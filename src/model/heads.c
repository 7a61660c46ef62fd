#include "model/heads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/export.h"
#include "model/transformer_decoder.h"
#include "model/transformer_rules.h"

extern const struct mega_mixer mega_mixer_attention;

/* ---- finding ---- */

static const struct mega_transformer *transformer_of(const mega_model *m)
{
    const struct mega_language_model *l = &m->language;
    return m->config.architecture == MEGA_LANGUAGE_MODEL &&
                   l->decoder->features == mega_transformer_decode
               ? l->self
               : NULL;
}

/* attention number i of the model, with the block's path; NULL beyond the last */
static const struct mega_attention *attention_at(
    const mega_model *m, int64_t i, const char **path)
{
    const struct mega_transformer *t = transformer_of(m);
    const struct mega_encoder *e = &m->classifier.encoder;
    if (t) {
        for (int64_t k = 0; k < t->plan.steps; k++) {
            const struct mega_transformer_sublayer *s = &t->step[k];
            if (s->kind != MEGA_BRANCH_ATTENTION || s->repeat || i--) continue;
            *path = s->path;
            return &s->attention;
        }
        return NULL;
    }
    if (m->config.architecture != MEGA_CLASSIFIER || i >= e->options.layers ||
        e->layer[i].mixer != &mega_mixer_attention)
        return NULL;
    *path = e->layer[i].path;
    return e->layer[i].self;
}

mega_status mega_model_heads_find(struct mega_model_heads *h, const mega_model *m)
{
    const char *path;
    *h = (struct mega_model_heads){ 0 };
    while (attention_at(m, h->layers, &path)) h->layers++;
    if (!h->layers)
        return mega_fail(MEGA_UNSUPPORTED,
            "this model is a %s, which has no attention heads to be told apart: expected a "
            "Transformer (gpt2, llama, transformer) or a classifier with mixer attention",
            m->config.architecture == MEGA_LANGUAGE_MODEL ? m->language.decoder->title
            : m->config.architecture == MEGA_MASKED_MODEL ? "masked language model"
                                                          : "classifier with mixer mega");
    h->layer = calloc((size_t)h->layers, sizeof *h->layer);
    if (!h->layer) return mega_fail(MEGA_NO_MEMORY, "no memory for a list of heads");
    for (int64_t i = 0; i < h->layers; i++) {
        struct mega_model_attention *a = &h->layer[i];
        a->attention = attention_at(m, i, &a->path);
        if (a->attention->options.heads > h->most) h->most = a->attention->options.heads;
    }
    return MEGA_OK;
}

void mega_model_heads_done(struct mega_model_heads *h)
{
    free(h->layer);
    *h = (struct mega_model_heads){ 0 };
}

/* ---- the new configuration ---- */

static void set(const struct mega_option *table, void *options,
    const struct mega_model_heads_change *change)
{
    const struct mega_option *kept = mega_option_find(table, "kept_heads"),
                             *gates = mega_option_find(table, "head_gates");
    if (change->kept) *(const char **)(void *)((char *)options + kept->offset) = change->kept;
    *(int *)(void *)((char *)options + gates->offset) = change->gates;
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
    const struct mega_transformer *t = transformer_of(m);
    if (!t) {
        set(mega_mixer_attention.options, c->mixer, change);
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

/* where number n stands in a rising list, or -1 */
static int64_t place_of(const int32_t *list, int64_t count, int32_t n)
{
    for (int64_t i = 0; i < count; i++)
        if (list[i] == n) return i;
    return -1;
}

/* rows of a projection, or numbers of its bias: those of the units that are left */
static void cut_rows(mega_tensor *to, const mega_tensor *from, int64_t channels,
    const int32_t *left, int64_t n, const int32_t *all, int64_t n_all)
{
    if (!to) return;
    int64_t width = to->rank > 1 ? mega_width(to) : 1;
    const float *old = from->data;
    float *new = to->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = place_of(all, n_all, left[i]);
        memcpy(new + i *channels *width, old + k * channels * width,
            (size_t)(channels * width) * sizeof *new);
    }
    to->param->version++;
}

/* columns of the output projection, times the gates that are folded */
static void cut_columns(mega_tensor *to, const struct mega_attention *old,
    const struct mega_attention *new, bool fold)
{
    int64_t dv = old->options.values;
    for (int64_t i = 0; i < new->kept.heads; i++) {
        int64_t k = place_of(old->kept.number, old->kept.heads, new->kept.number[i]);
        double gate = fold ? mega_head_gates_value(&old->gates, k) : 1;
        for (int64_t r = 0; r < mega_height(to); r++)
            for (int64_t j = 0; j < dv; j++)
                mega_put(to, r, i * dv + j, gate * mega_get(old->o, r, k * dv + j));
    }
    to->param->version++;
}

static void cut_gates(const struct mega_attention *old, const struct mega_attention *new)
{
    const struct mega_kept_heads *a = &old->kept, *b = &new->kept;
    if (old->gates.log_a && new->gates.log_a)
        cut_rows(
            new->gates.log_a, old->gates.log_a, 1, b->number, b->heads, a->number, a->heads);
    if (old->gates.open && new->gates.open)
        cut_rows(new->gates.open, old->gates.open, 1, b->number, b->heads, a->number, a->heads);
}

static mega_status cut_attention(const struct mega_attention *old,
    const struct mega_attention *new, int64_t layer, bool fold)
{
    const struct mega_kept_heads *a = &old->kept, *b = &new->kept;
    int64_t d = old->options.keys, dv = old->options.values;
    for (int64_t i = 0; i < b->heads; i++)
        if (place_of(a->number, a->heads, b->number[i]) < 0)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "layer %lld has no head %d any more: it was removed", (long long)layer,
                b->number[i]);
    if (!b->heads) return MEGA_OK;
    cut_rows(new->q, old->q, d, b->number, b->heads, a->number, a->heads);
    cut_rows(new->q_bias, old->q_bias, d, b->number, b->heads, a->number, a->heads);
    cut_rows(new->k, old->k, d, b->group_number, b->groups, a->group_number, a->groups);
    cut_rows(
        new->k_bias, old->k_bias, d, b->group_number, b->groups, a->group_number, a->groups);
    cut_rows(new->v, old->v, dv, b->group_number, b->groups, a->group_number, a->groups);
    cut_rows(
        new->v_bias, old->v_bias, dv, b->group_number, b->groups, a->group_number, a->groups);
    cut_columns(new->o, old, new, fold);
    cut_gates(old, new);
    return MEGA_OK;
}

/* a parameter that is neither copied nor cut: nobody knows which of its numbers belong to a
 * head */
static mega_status check_others(
    const mega_model *to, const mega_model *from, const struct mega_model_heads *h)
{
    for (const struct mega_param *p = to->store.first; p; p = p->next) {
        const struct mega_param *old = mega_store_find(&from->store, p->name);
        bool known = (old && mega_same_shape(&p->value, &old->value)) || is_gate(p->name);
        for (int64_t i = 0; i < h->layers && !known; i++) {
            const struct mega_attention *a = h->layer[i].attention;
            const mega_tensor *cut[] = { a->q, a->k, a->v, a->o, a->q_bias, a->k_bias,
                a->v_bias };
            for (size_t k = 0; k < sizeof cut / sizeof *cut; k++) known |= cut[k] == &p->value;
        }
        if (!known)
            return mega_fail(MEGA_UNSUPPORTED,
                "no head can be removed from this model: what of %s belongs to a head is not "
                "known",
                p->name);
    }
    return MEGA_OK;
}

static mega_status cut_all(
    mega_model *to, const mega_model *from, const struct mega_model_heads_change *change)
{
    struct mega_model_heads old, new;
    MEGA_TRY(mega_model_heads_find(&old, from));
    mega_status status = mega_model_heads_find(&new, to);
    if (!status) status = check_others(to, from, &new);
    if (!status) status = take(to, from, true);
    for (int64_t i = 0; i < old.layers && !status; i++)
        status = cut_attention(old.layer[i].attention, new.layer[i].attention, i, change->fold);
    mega_model_heads_done(&new);
    mega_model_heads_done(&old);
    return status;
}

mega_status mega_model_heads_change(
    mega_model **out, const mega_model *m, const struct mega_model_heads_change *change)
{
    struct mega_model_heads h;
    *out = NULL;
    MEGA_TRY(mega_model_heads_find(&h, m));
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
