#include "model/units.h"

#include <stdlib.h>
#include <string.h>

#include "model/heads.h"

const struct mega_unit_words mega_unit_words[MEGA_UNIT_KINDS] = {
    { "heads", "gates", "head_gates" },
    { "cross_heads", "cross_gates", "cross_gates" },
    { "groups", "group_gates", "group_gates" },
    { "branches", "branch_gates", "branch_gates" },
    { "channel_blocks", "channel_gates", "channel_gates" },
};

static mega_status add(struct mega_model_units *u, struct mega_unit_set s)
{
    struct mega_unit_set *more = realloc(u->set, (size_t)(u->n + 1) * sizeof *more);
    if (!more) return mega_fail(MEGA_NO_MEMORY, "no memory for a list of gates");
    for (int64_t i = 0; i < u->n; i++) s.layer += more[i].kind == s.kind;
    u->set = more;
    u->set[u->n++] = s;
    return MEGA_OK;
}

/* ---- what units cost ---- */

static double size_of(const mega_tensor *t)
{
    return t ? (double)mega_count(t) : 0;
}

/* of all units of a layer, to be shared out */
static double shared(double all, const struct mega_head_gates *g)
{
    return g->heads ? all / (double)g->heads : 0;
}

static double queries_of(const struct mega_attention *a)
{
    return size_of(a->q) + size_of(a->q_bias) + size_of(a->o);
}

static double keys_of(const struct mega_attention *a)
{
    return size_of(a->k) + size_of(a->k_bias) + size_of(a->v) + size_of(a->v_bias);
}

static double megalodon_of(const struct mega_megalodon_attention *a)
{
    return size_of(a->wz) + size_of(a->wz_bias) + size_of(a->gamma) + size_of(a->beta) +
           size_of(a->wv) + size_of(a->wv_bias) + size_of(a->wr) + size_of(a->wr_bias) +
           size_of(a->wh2);
}

static double mega_of(const struct mega_gated_attention *a)
{
    const struct mega_gated_attention_options *o = &a->options;
    if (!a->kept.heads) return 0;
    return size_of(a->v_weight) + size_of(a->v_bias) + size_of(a->h_weight) +
           size_of(a->gamma) + size_of(a->beta) + size_of(a->bias.table) +
           size_of(a->bias.alpha) + size_of(a->bias.beta) +
           (double)((o->keys + o->values) * (o->width + 1));
}

static double mlp_of(const struct mega_mlp *f)
{
    return size_of(f->up) + size_of(f->up_bias) + size_of(f->gate) + size_of(f->gate_bias) +
           size_of(f->down) + size_of(f->mult);
}

/* ---- where they are ---- */

static mega_status add_mlp(struct mega_model_units *u, const struct mega_mlp *f)
{
    if (!f || !f->options.gates.channels) return MEGA_OK;
    return add(u, (struct mega_unit_set){
                      MEGA_UNIT_CHANNELS, 0, &f->gates, shared(mlp_of(f), &f->gates) });
}

static mega_status add_attention(struct mega_model_units *u, const struct mega_attention *a,
    const struct mega_head_gates_options *o, bool cross)
{
    double own = queries_of(a), keys = keys_of(a);
    int heads = cross ? o->cross : o->kind;
    if (heads)
        MEGA_TRY(
            add(u, (struct mega_unit_set){ cross ? MEGA_UNIT_CROSS_HEADS : MEGA_UNIT_HEADS, 0,
                       &a->gates, shared(own + (o->groups && !cross ? 0 : keys), &a->gates) }));
    if (cross || !o->groups) return MEGA_OK;
    return add(u, (struct mega_unit_set){ MEGA_UNIT_GROUPS, 0, &a->group_gates,
                      shared(keys + (heads ? 0 : own), &a->group_gates) });
}

mega_status mega_transformer_units_add(
    struct mega_model_units *u, const struct mega_transformer *t)
{
    const struct mega_head_gates_options *o = &t->options.gates;
    for (int64_t i = 0; i < t->plan.steps; i++) {
        const struct mega_transformer_sublayer *s = &t->step[i];
        if (s->repeat) continue;
        if (s->kind != MEGA_BRANCH_MLP)
            MEGA_TRY(add_attention(u, &s->attention, o, s->kind == MEGA_BRANCH_CROSS));
        else
            MEGA_TRY(add_mlp(u, &s->mlp));
    }
    return MEGA_OK;
}

/* of a layer that is no Transformer's, or a classifier's attention */
static mega_status add_layer(struct mega_model_units *u, const struct mega_model_attention *l)
{
    if (l->attention)
        return add_attention(u, l->attention, &l->attention->options.gates, false);
    if (l->mega)
        return l->mega->options.gates.branches
                   ? add(u, (struct mega_unit_set){ MEGA_UNIT_BRANCHES, 0, l->gates,
                                shared(mega_of(l->mega), l->gates) })
                   : MEGA_OK;
    const struct mega_megalodon_attention *a = l->megalodon;
    double all = megalodon_of(a);
    if (a->options.gates.kind)
        return add(
            u, (struct mega_unit_set){ MEGA_UNIT_HEADS, 0, &a->gates, shared(all, &a->gates) });
    if (!a->options.gates.branches) return MEGA_OK;
    return add(u,
        (struct mega_unit_set){ MEGA_UNIT_BRANCHES, 0, &a->branch, shared(all, &a->branch) });
}

static mega_status add_layers(struct mega_model_units *u, const mega_model *m)
{
    struct mega_model_heads h;
    MEGA_TRY(mega_model_heads_list(&h, m));
    mega_status status = MEGA_OK;
    for (int64_t i = 0; i < h.layers && !status; i++) {
        status = add_layer(u, &h.layer[i]);
        if (!status) status = add_mlp(u, mega_model_mlp(m, i));
    }
    mega_model_heads_done(&h);
    return status;
}

mega_status mega_model_units_find(struct mega_model_units *u, const mega_model *m)
{
    const struct mega_transformer *t = mega_model_transformer(m);
    *u = (struct mega_model_units){ 0 };
    mega_status status = t ? mega_transformer_units_add(u, t) : add_layers(u, m);
    if (status) mega_model_units_done(u);
    return status;
}

void mega_model_units_done(struct mega_model_units *u)
{
    free(u->set);
    *u = (struct mega_model_units){ 0 };
}
