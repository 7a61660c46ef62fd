#include "model/masked_model.h"

#include "graph/ops.h"

#define FIELD(member) offsetof(struct mega_masked_model_options, member)

const struct mega_option mega_masked_model_options[] = {
    { "pooler", MEGA_OPTION_BOOL, FIELD(pooler), "true", 0, 0, NULL, NULL,
        "a vector of the whole text, from its first place", 0 },
    { "masked_head", MEGA_OPTION_BOOL, FIELD(masked), "true", 0, 0, NULL, NULL,
        "logits of the token at every place", 0 },
    { "next_sentence", MEGA_OPTION_BOOL, FIELD(next), "false", 0, 0, NULL, NULL,
        "whether the second of two texts follows the first; needs the pooler", 0 },
    { 0 },
};

static const struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 },
                              zero = { MEGA_INIT_CONSTANT, 0, 0 };

/* weight [out, in] and bias [out] below a name of their own */
static void build_linear(mega_build *b, const char *name, int64_t out, int64_t in,
    mega_tensor **weight, mega_tensor **bias)
{
    size_t entered = mega_build_enter(b, "%s", name);
    *weight = mega_param_add(b, "weight", small, 2, (int64_t[]){ out, in });
    *bias = mega_param_add(b, "bias", zero, 1, &out);
    mega_build_leave(b, entered);
}

static void build_masked_head(mega_build *b, struct mega_masked_model *m)
{
    const struct mega_transformer_options *o = &m->encoder.options;
    size_t entered = mega_build_enter(b, "mlm");
    build_linear(b, "dense", o->width, o->width, &m->dense, &m->dense_bias);
    size_t inside = mega_build_enter(b, "norm");
    mega_norm_declare(b, &m->norm,
        &(struct mega_norm_options){ .type = MEGA_LAYERNORM,
            .width = o->width,
            .affine = true,
            .bias = true,
            .eps = o->norm_eps });
    mega_build_leave(b, inside);
    m->bias = mega_param_add(b, "bias", zero, 1, &o->vocabulary);
    mega_build_leave(b, entered);
}

static mega_status check(const struct mega_masked_model_options *o)
{
    if (o->next && !o->pooler)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "next_sentence is read off the pooled vector: expected pooler: true");
    if (o->masked && o->encoder.embedding.width &&
        o->encoder.embedding.width != o->encoder.width)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "masked_head compares features with rows of the token table: emb_dim is %lld and "
            "width %lld, expected one width",
            (long long)o->encoder.embedding.width, (long long)o->encoder.width);
    return MEGA_OK;
}

void mega_masked_model_build(mega_build *b, struct mega_masked_model *m,
    const struct mega_masked_model_options *options, int64_t vocabulary)
{
    *m = (struct mega_masked_model){ .options = *options };
    if (!b->status) b->status = check(options);
    if (b->status) return;
    struct mega_transformer_options o = options->encoder;
    o.vocabulary = vocabulary;
    o.causal = false;
    o.headless = true;
    o.recompute = (int)mega_recompute_resolve(o.recompute);
    mega_transformer_build(b, &m->encoder, &o);
    if (options->pooler)
        build_linear(b, "pooler", o.width, o.width, &m->pooler, &m->pooler_bias);
    if (options->masked) build_masked_head(b, m);
    if (options->next) build_linear(b, "next", 2, o.width, &m->next, &m->next_bias);
}

/* of features */
static mega_tensor *states_of(mega_run *r, const struct mega_masked_model *m, mega_tensor *h)
{
    enum mega_act act = (enum mega_act)m->encoder.options.act;
    return mega_norm_run(r, &m->norm, linear(r, h, m->dense, m->dense_bias, act));
}

mega_tensor *mega_masked_model_states(mega_run *r, const struct mega_masked_model *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    struct mega_transformer_inputs in = { .ids = ids };
    return states_of(r, m, mega_transformer_features_of(r, &m->encoder, &in, rows, NULL));
}

mega_tensor *mega_masked_model_logits(
    mega_run *r, const struct mega_masked_model *m, mega_tensor *states)
{
    return linear(r, states, m->encoder.embedding.table, m->bias, MEGA_ACT_LINEAR);
}

mega_tensor *mega_masked_model_loss(mega_run *r, const struct mega_masked_model *m,
    mega_tensor *states, mega_tensor *target, double smoothing, mega_tensor **each)
{
    return output_loss(r, states, m->encoder.embedding.table, m->bias, target, smoothing, each);
}

void mega_masked_model_run(mega_run *r, const struct mega_masked_model *m, mega_tensor *ids,
    mega_tensor *types, const struct mega_rows *rows, struct mega_masked_model_ends *out)
{
    struct mega_transformer_inputs in = { .ids = ids, .types = types };
    *out = (struct mega_masked_model_ends){ 0 };
    mega_tensor *h = out->features =
        mega_transformer_features_of(r, &m->encoder, &in, rows, NULL);
    if (m->options.pooler)
        out->pooled = linear(
            r, pool(r, h, rows, MEGA_POOL_FIRST), m->pooler, m->pooler_bias, MEGA_ACT_TANH);
    if (m->options.next)
        out->next = linear(r, out->pooled, m->next, m->next_bias, MEGA_ACT_LINEAR);
    if (m->options.masked) out->logits = mega_masked_model_logits(r, m, states_of(r, m, h));
}
