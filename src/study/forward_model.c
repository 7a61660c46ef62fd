/* What a pass in double is made of: a model's parameters, copied. */
#include "study/forward.h"

#include <stdlib.h>

#include "model/heads.h"
#include "model/transformer_rules.h"

static double *copy(const mega_tensor *t, double more)
{
    double *out = malloc((size_t)(mega_count(t) + 1) * sizeof *out);
    for (int64_t i = 0, w = mega_width(t); out && i < mega_count(t); i++)
        out[i] = mega_get(t, i / w, i % w) + more;
    return out;
}

bool mega_study_linear_take(
    struct mega_study_linear *l, const mega_tensor *w, const mega_tensor *b)
{
    if (!w) return true;
    *l = (struct mega_study_linear){ w->dim[1], w->dim[0], copy(w, 0), b ? copy(b, 0) : NULL };
    return l->w && (!b || l->b);
}

void mega_study_linear_free(struct mega_study_linear *l)
{
    free(l->w);
    free(l->b);
    *l = (struct mega_study_linear){ 0 };
}

bool mega_study_norm_take(struct mega_study_norm *n, const struct mega_norm *from, bool there)
{
    *n = (struct mega_study_norm){ there, from->type == MEGA_RMSNORM, from->eps, NULL, NULL };
    if (!there) return true;
    if (from->weight) n->g = copy(from->weight, from->unit_offset ? 1 : 0);
    if (from->bias) n->b = copy(from->bias, 0);
    return (!from->weight || n->g) && (!from->bias || n->b);
}

void mega_study_norm_free(struct mega_study_norm *n)
{
    free(n->g);
    free(n->b);
    *n = (struct mega_study_norm){ 0 };
}

static const char known[] = "relevance knows Transformers";
enum { MOST_NAMES = 64 };

static mega_status check_norm(int norm)
{
    return norm == MEGA_LAYERNORM || norm == MEGA_RMSNORM
               ? MEGA_OK
               : mega_fail(MEGA_UNSUPPORTED, "%s with LayerNorm or RMSNorm", known);
}

static mega_status check(const struct mega_transformer_options *o)
{
    if (o->placement != MEGA_PLACEMENT_PRE && o->placement != MEGA_PLACEMENT_POST)
        return mega_fail(MEGA_UNSUPPORTED, "%s with norms before or after the branches", known);
    MEGA_TRY(check_norm(o->norm));
    if (o->act == MEGA_MLP_SOLU)
        return mega_fail(MEGA_UNSUPPORTED, "%s with a pointwise activation, not solu", known);
    /* what the embedding does is done before the pass begins */
    const char *names[MOST_NAMES] = { "group_gates", "channel_gates", "channel_block",
        "kept_channels", "type_emb", "post_emb_norm", "embed_scale" };
    for (int k = 0, n = 7; mega_transformer_core[k] && n + 1 < MOST_NAMES; k++)
        names[n++] = mega_transformer_core[k];
    const char *unusual = mega_transformer_unusual(o, names);
    if (unusual) return mega_fail(MEGA_UNSUPPORTED, "%s without the option %s", known, unusual);
    return MEGA_OK;
}

static bool take_groups(struct mega_study_sublayer *s, const struct mega_kept_heads *kept)
{
    s->group = calloc((size_t)kept->heads + 1, sizeof *s->group);
    for (int64_t p = 0; s->group && p < kept->parts; p++) {
        const struct mega_head_part *part = &kept->part[p];
        for (int64_t h = 0; h < part->heads; h++)
            s->group[part->head + h] =
                (int32_t)(part->group + h / (part->heads / part->groups));
    }
    return s->group;
}

static bool take_attention(struct mega_study_sublayer *s, const struct mega_attention *a)
{
    s->attention = a;
    return mega_study_linear_take(&s->q, a->q, a->q_bias) &&
           mega_study_linear_take(&s->k, a->k, a->k_bias) &&
           mega_study_linear_take(&s->v, a->v, a->v_bias) &&
           mega_study_linear_take(&s->o, a->o, a->o_bias) && take_groups(s, &a->kept);
}

static bool take_mlp(struct mega_study_sublayer *s, const struct mega_mlp *f)
{
    s->mlp = f;
    return mega_study_linear_take(&s->up, f->up, f->up_bias) &&
           mega_study_linear_take(&s->gate, f->gate, f->gate_bias) &&
           mega_study_linear_take(&s->down, f->down, f->down_bias);
}

/* norms before (where the branch reads the stream) or after */
static bool take_norms(
    struct mega_study_sublayer *s, const struct mega_sublayer *around, bool pre, bool reads)
{
    return mega_study_norm_take(&s->pre, &around->pre, pre && reads) &&
           mega_study_norm_take(&s->post, &around->post, !pre);
}

static bool make_room(struct mega_study_forward *f, int64_t subs)
{
    f->sub = calloc((size_t)subs + 1, sizeof *f->sub);
    f->subs = f->sub ? subs : 0;
    return f->sub;
}

static bool take_transformer(struct mega_study_forward *f, const struct mega_transformer *m)
{
    bool pre = m->options.placement == MEGA_PLACEMENT_PRE;
    f->D = m->options.width;
    if (!make_room(f, m->plan.steps)) return false;
    for (int64_t k = 0; k < f->subs; k++) {
        const struct mega_transformer_sublayer *from = &m->step[k];
        bool attention = from->kind == MEGA_BRANCH_ATTENTION,
             reads = attention ? from->attention.kept.heads > 0 : from->mlp.hidden > 0;
        if (!take_norms(&f->sub[k], &from->around, pre, reads) ||
            !(attention ? take_attention(&f->sub[k], &from->attention)
                        : take_mlp(&f->sub[k], &from->mlp)))
            return false;
    }
    return mega_study_norm_take(&f->final, &m->final_norm, m->has_final_norm);
}

/* the encoder of a classifier, whose mixer is attention */
static bool take_encoder(struct mega_study_forward *f, const struct mega_encoder *e)
{
    const struct mega_encoder_options *o = &e->options;
    int64_t each = e->layer[0].has_feed_forward ? 2 : 1;
    f->D = o->width;
    if (!make_room(f, each * o->layers)) return false;
    for (int64_t i = 0; i < o->layers; i++) {
        const struct mega_encoder_layer *from = &e->layer[i];
        const struct mega_attention *a = from->self;
        struct mega_study_sublayer *s = &f->sub[each * i];
        if (!take_norms(s, &from->around_mixer, o->prenorm, a->kept.heads > 0) ||
            !take_attention(s, a))
            return false;
        if (each == 2 && (!take_norms(s + 1, &from->around_mlp, o->prenorm, true) ||
                             !take_mlp(s + 1, &from->mlp)))
            return false;
    }
    return mega_study_norm_take(&f->final, &e->final_norm, o->prenorm);
}

mega_status mega_study_forward_new(struct mega_study_forward *f, const mega_model *m)
{
    const struct mega_transformer *t = mega_model_transformer(m);
    bool taken = false;
    *f = (struct mega_study_forward){ 0 };
    if (t) {
        MEGA_TRY(check(&t->options));
        taken = take_transformer(f, t);
    } else if (m->config.architecture == MEGA_CLASSIFIER) {
        struct mega_model_heads h;
        MEGA_TRY(mega_model_heads_find(&h, m)); /* its mixer is attention */
        mega_model_heads_done(&h);
        MEGA_TRY(check_norm(m->classifier.encoder.options.norm));
        taken = take_encoder(f, &m->classifier.encoder);
    } else {
        return mega_fail(MEGA_UNSUPPORTED,
            "relevance is of Transformers that are language models, masked or not, or "
            "classifiers; this is another model");
    }
    if (taken) return MEGA_OK;
    mega_study_forward_free(f);
    return mega_fail(MEGA_NO_MEMORY, "no memory for a model in double precision");
}
