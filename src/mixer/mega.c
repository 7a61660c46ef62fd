/* Mega and Mega-chunk (Ma et al., ICLR 2023): moving-average gated attention as a mixer. */
#include "layer/gated_attention.h"
#include "mixer/mixer.h"

struct options {
    int64_t values, keys, states, chunk, truncation;
    int attention, bias;
    double attention_dropout;
    struct mega_head_gates_options gates;
    const char *kept_heads;
};

#define FIELD(member) offsetof(struct options, member)

static const struct mega_option table[] = {
    { "values", MEGA_OPTION_INT, FIELD(values), "256", 1, 1 << 20, NULL, "E",
        "value width E (--encoder-hidden-dim)", 0 },
    { "keys", MEGA_OPTION_INT, FIELD(keys), "64", 1, 1 << 20, NULL, "Z",
        "width of the shared queries and keys (--z-dim)", 0 },
    { "ema", MEGA_OPTION_INT, FIELD(states), "16", 1, 4096, NULL, "N",
        "EMA states for each channel (--n-dim)", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "-1", -1, 1 << 30, NULL, "C",
        "attention window of Mega-chunk; -1: full attention (--chunk-size)", 0 },
    { "truncation", MEGA_OPTION_INT, FIELD(truncation), "0", 0, 1 << 30, NULL, "M",
        "longest EMA kernel; 0: as long as the text (--truncation-length)", 0 },
    { "attention", MEGA_OPTION_CHOICE, FIELD(attention), "softmax", 0, 0,
        "softmax|laplace|relu2", NULL, "attention function (--attention-activation-fn)", 0 },
    { "bias", MEGA_OPTION_CHOICE, FIELD(bias), "simple", 0, 0, "simple|rotary", NULL,
        "relative position bias (--rel-pos-bias)", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    MEGA_BRANCH_GATES_OPTIONS(FIELD(gates)),
    MEGA_KEPT_BRANCHES_OPTION(FIELD(kept_heads)),
    { 0 },
};

static unsigned can(const void *options)
{
    (void)options;
    return MEGA_MIX_CAUSAL | MEGA_MIX_TWO_WAY | MEGA_MIX_STREAM | MEGA_MIX_OWNS_BLOCK;
}

static mega_status check(const void *options, const struct mega_mixer_place *place)
{
    const struct options *o = options;
    (void)place;
    if (o->chunk == 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "chunk is 0: expected a length of at least 1, or -1 for full attention");
    if (o->bias == MEGA_BIAS_ROTARY && o->keys % 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "keys is %lld: a rotary bias turns pairs and needs an even number",
            (long long)o->keys);
    return MEGA_OK;
}

static void *build(mega_build *b, const void *options, const struct mega_mixer_place *place)
{
    const struct options *o = options;
    struct mega_gated_attention *self = mega_arena_zeroed(&b->store->names, sizeof *self);
    if (!self) {
        b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare a Mega block");
        return NULL;
    }
    size_t entered = mega_build_enter(b, "mega_layer");
    mega_gated_attention_build(b, self,
        &(struct mega_gated_attention_options){
            .width = place->width,
            .values = o->values,
            .keys = o->keys,
            .states = o->states,
            .chunk = o->chunk,
            .truncation = o->truncation,
            .longest = place->longest,
            .act = place->act,
            .attention = o->attention,
            .bias = o->bias,
            .norm = place->norm,
            .prenorm = place->prenorm,
            .affine = true,
            .causal = place->causal,
            .feature_dropout = place->feature_dropout,
            .dropout = place->dropout,
            .attention_dropout = o->attention_dropout,
            .hidden_dropout = place->hidden_dropout,
            .gates = o->gates,
            .kept = o->kept_heads,
            .layer = place->layer,
        });
    mega_build_leave(b, entered);
    return b->status ? NULL : self;
}

static mega_tensor *forward(
    mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows)
{
    return mega_gated_attention_run(r, self, x, rows);
}

static int64_t multiple(const void *options)
{
    const struct options *o = options;
    return o->chunk > 0 ? o->chunk : 1;
}

const struct mega_mixer mega_mixer_mega = {
    .name = "mega",
    .options = table,
    .options_size = sizeof(struct options),
    .can = can,
    .check = check,
    .build = build,
    .forward = forward,
    .multiple = multiple,
};
