/* What a recipe can say about a Megalodon layer, and how its weights begin. */
#include "layer/megalodon.h"
#include "layer/megalodon_init.h"

#define FIELD(member) offsetof(struct mega_megalodon_options, member)

const struct mega_option mega_megalodon_options[] = {
    { "heads", MEGA_OPTION_INT, FIELD(heads), "1", 1, 4096, NULL, "H",
        "heads of attention (num_heads)", 0 },
    { "keys", MEGA_OPTION_INT, FIELD(keys), "256", 2, 1 << 20, NULL, "Z",
        "width of queries and keys, all heads together (z_dim)", 0 },
    { "values", MEGA_OPTION_INT, FIELD(values), "2048", 1, 1 << 20, NULL, "E",
        "width of values, all heads together (value_dim)", 0 },
    { "ema", MEGA_OPTION_INT, FIELD(states), "16", 1, 4096, NULL, "N",
        "complex EMA states for each channel (cema_ndim)", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "2048", 1, 1 << 30, NULL, "C",
        "attention window (chunk_size)", 0 },
    { "groups", MEGA_OPTION_INT, FIELD(groups), "32", 1, 1 << 20, NULL, "G",
        "groups of the timestep norm, which divide the width (norm_num_groups)", 0 },
    { "rotary_base", MEGA_OPTION_REAL, FIELD(rotary_base), "10000", 1, 1e12, NULL, "BASE",
        "base of the rotary frequencies (rope_base)", 0 },
    { "swiglu", MEGA_OPTION_BOOL, FIELD(swiglu), "false", 0, 0, NULL, NULL,
        "a gated feed-forward", 0 },
    { "rescale", MEGA_OPTION_BOOL, FIELD(rescale), "false", 0, 0, NULL, NULL,
        "a trained factor of each layer's feed-forward (rescale_nffn)", 0 },
    { "norm_affine", MEGA_OPTION_BOOL, FIELD(affine), "true", 0, 0, NULL, NULL,
        "gains of the norms but the timestep norm, which has them always", 0 },
    { "norm_eps", MEGA_OPTION_REAL, FIELD(norm_eps), "1e-5", 0, 1, NULL, "EPS",
        "inside the root of every norm", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    { "drop_keys", MEGA_OPTION_BOOL, FIELD(drop_keys), "false", 0, 0, NULL, NULL,
        "attention dropout hides keys before the softmax (efficient_attn: swift, fused)", 0 },
    { "init", MEGA_OPTION_CHOICE, FIELD(init), "he", 0, 0, MEGA_MEGALODON_INIT_CHOICES, NULL,
        "how weights begin (init_mode)", 0 },
    { 0 },
};

mega_status mega_megalodon_check(const struct mega_megalodon_options *o)
{
    if (o->heads < 1 || o->keys < 1 || o->keys % o->heads || o->keys / o->heads % 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "keys is %lld and heads is %lld: expected an even number of keys for each head",
            (long long)o->keys, (long long)o->heads);
    if (o->values < 1 || o->values % o->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "values is %lld and heads is %lld: expected a multiple", (long long)o->values,
            (long long)o->heads);
    if (o->chunk < 1)
        return mega_fail(MEGA_BAD_ARGUMENT, "chunk is %lld, expected a length of at least 1",
            (long long)o->chunk);
    if (o->groups < 1 || o->width < 1 || o->width % o->groups)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "groups is %lld and width is %lld: expected a divisor of the width",
            (long long)o->groups, (long long)o->width);
    if (o->hidden < 1 || o->states < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a feed-forward of %lld channels and an EMA of %lld states: expected at least 1 of "
            "each",
            (long long)o->hidden, (long long)o->states);
    return MEGA_OK;
}

struct mega_init mega_megalodon_init_of(const struct mega_megalodon_options *o)
{
    switch (o->init) {
    case MEGA_MEGALODON_BERT: return (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.02 };
    case MEGA_MEGALODON_XAVIER: return (struct mega_init){ MEGA_INIT_XAVIER, 0, 0 };
    case MEGA_MEGALODON_GAUSSIAN: return (struct mega_init){ MEGA_INIT_TRUNCATED, 3, 1 };
    case MEGA_MEGALODON_NONE: return (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 };
    default: break;
    }
    /* he: sqrt(2 / (1 + 5)) / sqrt(inputs); the port: sqrt(2) / sqrt(inputs) */
    double gain = o->port ? 1.41421356237309505 : 0.57735026918962576;
    return (struct mega_init){ MEGA_INIT_FAN_IN, 0, gain };
}
