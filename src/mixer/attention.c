/* Multi-head attention as a mixer: the Transformer (Vaswani et al., 2017). */
#include "layer/attention.h"
#include "mixer/mixer.h"

struct options {
    int64_t heads, kv_heads, keys, values, chunk, rotary_dims;
    int rotary;
    bool bias;
    double rotary_base, attention_dropout;
    struct mega_head_gates_options gates;
    const char *kept_heads;
};

enum { ROTARY_NONE, ROTARY_HALF, ROTARY_INTERLEAVED };

#define FIELD(member) offsetof(struct options, member)

static const struct mega_option table[] = {
    { "heads", MEGA_OPTION_INT, FIELD(heads), "4", 1, 4096, NULL, "H",
        "heads of queries (--encoder-attention-heads)", 0 },
    { "kv_heads", MEGA_OPTION_INT, FIELD(kv_heads), "0", 0, 4096, NULL, "G",
        "heads of keys and values, which divide the heads; 0: as many", 0 },
    { "keys", MEGA_OPTION_INT, FIELD(keys), "0", 0, 1 << 20, NULL, "d",
        "width of a query or key head; 0: width / heads", 0 },
    { "values", MEGA_OPTION_INT, FIELD(values), "0", 0, 1 << 20, NULL, "dv",
        "width of a value head; 0: as keys", 0 },
    { "attention_bias", MEGA_OPTION_BOOL, FIELD(bias), "false", 0, 0, NULL, NULL,
        "biases of the projections", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "-1", -1, 1 << 30, NULL, "C",
        "attention window; -1: full attention", 0 },
    { "rotary", MEGA_OPTION_CHOICE, FIELD(rotary), "none", 0, 0, "none|half|interleaved", NULL,
        "rotary positions: pairs of channels t and t + dims/2, or neighbours", 0 },
    { "rotary_dims", MEGA_OPTION_INT, FIELD(rotary_dims), "0", 0, 1 << 20, NULL, "N",
        "channels of a head that turn; 0: all", 0 },
    { "rotary_base", MEGA_OPTION_REAL, FIELD(rotary_base), "10000", 1, 1e12, NULL, "BASE",
        "base of their frequencies", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    MEGA_HEAD_GATES_OPTIONS(FIELD(gates)),
    MEGA_KEPT_HEADS_OPTION(FIELD(kept_heads)),
    { 0 },
};

static unsigned can(const void *options)
{
    (void)options;
    return MEGA_MIX_CAUSAL | MEGA_MIX_TWO_WAY | MEGA_MIX_STREAM;
}

/* the layer's options, with what 0 stands for */
static struct mega_attention_options resolve(
    const struct options *o, const struct mega_mixer_place *place)
{
    struct mega_attention_options a = { .width = place->width,
        .heads = o->heads,
        .kv_heads = o->kv_heads ? o->kv_heads : o->heads,
        .keys = o->keys ? o->keys : place->width / o->heads,
        .chunk = o->chunk,
        .causal = place->causal,
        .bias = o->bias,
        .dropout = o->attention_dropout,
        .gates = o->gates,
        .kept = o->kept_heads,
        .layer = place->layer,
        .names = &mega_attention_official };
    a.values = o->values ? o->values : a.keys;
    a.rotary.base = o->rotary_base;
    a.rotary.factor = 1;
    a.rotary.interleaved = o->rotary == ROTARY_INTERLEAVED;
    if (o->rotary != ROTARY_NONE) a.rotary.dims = o->rotary_dims ? o->rotary_dims : a.keys;
    return a;
}

static mega_status check(const void *options, const struct mega_mixer_place *place)
{
    const struct options *o = options;
    if (!o->keys && place->width % o->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "width is %lld and heads is %lld: expected a multiple, or keys to say a head's "
            "width",
            (long long)place->width, (long long)o->heads);
    struct mega_attention_options a = resolve(o, place);
    return mega_attention_check(&a);
}

static void *build(mega_build *b, const void *options, const struct mega_mixer_place *place)
{
    struct mega_attention *self = mega_arena_zeroed(&b->store->names, sizeof *self);
    if (!self) {
        b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare attention");
        return NULL;
    }
    struct mega_attention_options a = resolve(options, place);
    size_t entered = mega_build_enter(b, "self_attn");
    mega_attention_build(b, self, &a);
    mega_build_leave(b, entered);
    return b->status ? NULL : self;
}

static mega_tensor *forward(
    mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows)
{
    return mega_attention_run(r, self, x, rows);
}

static bool is_constant(const void *self)
{
    return !((const struct mega_attention *)self)->kept.heads;
}

static int64_t multiple(const void *options)
{
    (void)options;
    return 1;
}

const struct mega_mixer mega_mixer_attention = {
    .name = "attention",
    .options = table,
    .options_size = sizeof(struct options),
    .can = can,
    .check = check,
    .build = build,
    .forward = forward,
    .multiple = multiple,
    .is_constant = is_constant,
};
