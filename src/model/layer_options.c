#include "model/layer_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"
#include "model/transformer_options.h"

/* ---- what one layer may have for itself ---- */

static const char *const own[] = { "rotary", "rotary_dims", "rotary_base", "rotary_factor",
    "rotary_ntk", "rotary_interleaved", "rotary_heads", "xpos_scale_base", "rel_pos", "qk_norm",
    "qk_norm_groups", "qk_norm_scale", "qk_norm_scale_kind", "qk_norm_dim_scale", "value_norm",
    "attn_num_mem_kv", "attn_laser", "attn_fn", "attn_topk", "attn_topk_straight_through",
    "attn_sigmoid_bias", "attn_temperature", "gumbel_hard", "gumbel_eval", "attn_scale",
    "attn_score", "attn_sink", "attn_zero_kv", "attn_softclamp", "attn_talking_heads",
    "attn_pre_scaled_post", "attn_selective", "max_attend_past", "attn_exec", "attn_head_scale",
    "attn_gate_values", "attn_gate_heads", "attn_gate_bias", "attn_gate_act",
    "attn_gate_output", "attn_gate_rank", "attn_on_attn", "attn_belief", "attn_hybrid",
    "attn_hybrid_states", "attn_hybrid_mix", "attention_bias", "activation", "gated", "up_bias",
    "down_bias", "norm", "norm_eps", "norm_affine", "norm_bias", "dropout", "attention_dropout",
    "hidden_dropout", NULL };

static bool is_own(const char *name)
{
    for (const char *const *o = own; *o; o++)
        if (!strcmp(*o, name)) return true;
    return false;
}

/* ---- the text ---- */

enum { PART = 1024 };

/* a part of the text, up to the next semicolon: which layers, and their settings */
struct part {
    char text[PART];
    char *settings; /* behind the colon */
};

static mega_status refuse(const char *text)
{
    return mega_fail(MEGA_BAD_ARGUMENT,
        "by_layer has '%.100s': expected layers, a colon and settings, as in \"3-/4: "
        "rotary=none; 0 1: dropout=0.1 attn_topk=4\"",
        text);
}

/* *more: is there another part? */
static mega_status next_part(const char **at, struct part *p, bool *more)
{
    *at += strspn(*at, "; ");
    size_t n = strcspn(*at, ";");
    *more = n > 0;
    if (!n) return MEGA_OK;
    if (n >= PART) return refuse(*at);
    memcpy(p->text, *at, n);
    p->text[n] = 0;
    *at += n;
    char *colon = strchr(p->text, ':');
    if (!colon) return refuse(p->text);
    *colon = 0;
    p->settings = colon + 1;
    return MEGA_OK;
}

static int64_t take_number(char **at)
{
    int64_t n = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        if (n < 1000000) n = 10 * n + (**at - '0');
    return n;
}

/* "2", "2-5", "3-", "3-/4": is i one of them? */
static mega_status take_span(char **at, int64_t i, bool *here)
{
    const char *begin = *at;
    if (**at < '0' || **at > '9') return refuse(begin);
    int64_t from = take_number(at), to = from, step = 1;
    if (**at == '-') {
        ++*at;
        to = **at >= '0' && **at <= '9' ? take_number(at) : INT64_MAX;
    }
    if (**at == '/') {
        ++*at;
        step = take_number(at);
    }
    if (to < from || step < 1 || (**at && !strchr(" ,", **at))) return refuse(begin);
    *here |= i >= from && i <= to && (i - from) % step == 0;
    return MEGA_OK;
}

static mega_status is_meant(const struct part *p, int64_t i, bool *here)
{
    char layers[PART], *at = layers;
    *here = false;
    memcpy(layers, p->text, PART);
    if (!layers[strspn(layers, " ,")]) return refuse("no layers before a colon");
    while (*(at += strspn(at, " ,"))) MEGA_TRY(take_span(&at, i, here));
    return MEGA_OK;
}

/* the settings of a part are put into `o`; `all`: of all layers, of which o is a copy */
static mega_status set(const struct part *p, const struct mega_transformer_options *all,
    struct mega_transformer_options *o)
{
    const char *at = p->settings;
    char name[64], value[64], where[96];
    while (mega_setting_next(&at, name, value)) {
        const struct mega_option *row = mega_option_find(mega_transformer_table, name);
        if (!row || !is_own(name)) {
            const char *near = row ? NULL : mega_option_nearest(mega_transformer_table, name);
            return mega_fail(MEGA_BAD_ARGUMENT,
                "by_layer: %s is %s%s; mega help variants by_layer names what single layers "
                "may have",
                name, row ? "of all layers together" : "no option, the nearest is ",
                row    ? ""
                : near ? near
                       : "none");
        }
        snprintf(where, sizeof where, "by_layer: %s", name);
        MEGA_TRY(mega_option_parse(row, where, value, o));
    }
    if (at[strspn(at, " ")]) return refuse(at);
    if (o->attention.position.kind &&
        o->attention.position.kind != all->attention.position.kind)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "by_layer: layers share one rel_pos: expected %s, or none of it", "rel_pos=none");
    if ((o->attention.rotary.kind == MEGA_ROTARY_POPE) !=
        (all->attention.rotary.kind == MEGA_ROTARY_POPE))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "by_layer: layers share the phases of rotary pope: expected it in all or none");
    return MEGA_OK;
}

bool mega_layer_options_given(const struct mega_transformer_options *o)
{
    return o->by_layer && *o->by_layer;
}

static mega_status apply(
    const struct mega_transformer_options *all, int64_t i, struct mega_transformer_options *o)
{
    const char *at = all->by_layer;
    for (;;) {
        struct part p;
        bool more, here;
        MEGA_TRY(next_part(&at, &p, &more));
        if (!more) return MEGA_OK;
        MEGA_TRY(is_meant(&p, i, &here));
        if (here) MEGA_TRY(set(&p, all, o));
    }
}

struct mega_transformer_options mega_layer_options_at(
    const struct mega_transformer_options *all, int64_t i)
{
    struct mega_transformer_options o = *all;
    if (mega_layer_options_given(all) && apply(all, i, &o)) o = *all; /* check has said why */
    o.by_layer = NULL;
    return o;
}

mega_status mega_layer_options_check(const struct mega_transformer_options *all)
{
    const char *at = all->by_layer;
    while (mega_layer_options_given(all)) {
        struct part p;
        bool more, here;
        struct mega_transformer_options o = *all;
        MEGA_TRY(next_part(&at, &p, &more));
        if (!more) return MEGA_OK;
        MEGA_TRY(is_meant(&p, 0, &here));
        MEGA_TRY(set(&p, all, &o));
    }
    return MEGA_OK;
}
