/* The Transformer with all its options (Vaswani et al., 2017, and what came after). */
#include "model/transformer_decoder.h"
#include "op/contracts.h"

#define FIELD(member) offsetof(struct mega_transformer_options, member)

static const struct mega_option table[] = {
    { "layers", MEGA_OPTION_INT, FIELD(layers), "6", 1, 1000, NULL, "N",
        "number of layers: attention and a feed-forward each", 0 },
    { "width", MEGA_OPTION_INT, FIELD(width), "512", 1, 1 << 20, NULL, "D", "model width D",
        0 },
    { "ffn", MEGA_OPTION_INT, FIELD(ffn), "2048", 1, 1 << 20, NULL, "F", "feed-forward width F",
        0 },
    { "longest", MEGA_OPTION_INT, FIELD(longest), "2048", 1, 1 << 30, NULL, "T", "longest text",
        0 },
    { "heads", MEGA_OPTION_INT, FIELD(heads), "8", 1, 1 << 16, NULL, "H", "attention heads",
        0 },
    { "kv_heads", MEGA_OPTION_INT, FIELD(kv_heads), "0", 0, 1 << 16, NULL, "G",
        "heads of keys and values, each read by H/G heads; 0: H", 0 },
    { "keys", MEGA_OPTION_INT, FIELD(keys), "0", 0, 1 << 16, NULL, "d",
        "channels of a head's queries and keys; 0: D/H", 0 },
    { "values", MEGA_OPTION_INT, FIELD(values), "0", 0, 1 << 16, NULL, "dv",
        "channels of a head's values; 0: as keys", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "-1", -1, 1 << 30, NULL, "C",
        "attention window; -1: full attention", 0 },
    { "positions", MEGA_OPTION_CHOICE, FIELD(positions), "none", 0, 0, MEGA_POSITIONS_CHOICES,
        NULL, "absolute positions, added to what is embedded", 0 },
    { "position_scale", MEGA_OPTION_REAL, FIELD(position_scale), "1", 0, 1e6, NULL, "X",
        "factor of learned positions and sines", 0 },
    { "rotary_dims", MEGA_OPTION_INT, FIELD(rotary.dims), "0", 0, 1 << 16, NULL, "N",
        "channels of a head that turn with the position; 0: none", 0 },
    { "rotary_base", MEGA_OPTION_REAL, FIELD(rotary.base), "10000", 1, 1e12, NULL, "X",
        "base of the rotary frequencies", 0 },
    { "rotary_factor", MEGA_OPTION_REAL, FIELD(rotary.factor), "1", 1e-6, 1e6, NULL, "X",
        "rotary positions are divided by it", 0 },
    { "rotary_interleaved", MEGA_OPTION_BOOL, FIELD(rotary.interleaved), "false", 0, 0, NULL,
        NULL, "channels 2t and 2t+1 turn together, instead of t and t + dims/2", 0 },
    { "activation", MEGA_OPTION_CHOICE, FIELD(act), "gelu", 0, 0, MEGA_ACT_CHOICES, NULL,
        "pointwise function of the feed-forward", 0 },
    { "gated", MEGA_OPTION_BOOL, FIELD(gated), "false", 0, 0, NULL, NULL,
        "feed-forward with a gate (swiglu with silu, geglu with gelu)", 0 },
    { "norm", MEGA_OPTION_CHOICE, FIELD(norm), "layernorm", 0, 0, MEGA_NORM_CHOICES, NULL,
        "kind of norm", 0 },
    { "norm_eps", MEGA_OPTION_REAL, FIELD(norm_eps), "1e-5", 0, 1, NULL, "X",
        "epsilon inside the root of every norm", 0 },
    { "norm_affine", MEGA_OPTION_BOOL, FIELD(norm_affine), "true", 0, 0, NULL, NULL,
        "norms have gains", 0 },
    { "norm_bias", MEGA_OPTION_BOOL, FIELD(norm_bias), "true", 0, 0, NULL, NULL,
        "norms have biases, where the kind does", 0 },
    { "placement", MEGA_OPTION_CHOICE, FIELD(placement), "pre", 0, 0, MEGA_PLACEMENT_CHOICES,
        NULL, "where the norms of a sublayer are", 0 },
    { "final_norm", MEGA_OPTION_CHOICE, FIELD(final_norm), "auto", 0, 0, "auto|on|off", NULL,
        "norm before the head; auto: as the placement has it", 0 },
    { "tied", MEGA_OPTION_BOOL, FIELD(tied), "true", 0, 0, NULL, NULL,
        "the table is the head too", 0 },
    { "attention_bias", MEGA_OPTION_BOOL, FIELD(attention_bias), "false", 0, 0, NULL, NULL,
        "biases of the attention's projections", 0 },
    { "up_bias", MEGA_OPTION_BOOL, FIELD(up_bias), "true", 0, 0, NULL, NULL,
        "bias of the feed-forward's first layer", 0 },
    { "down_bias", MEGA_OPTION_BOOL, FIELD(down_bias), "true", 0, 0, NULL, NULL,
        "bias of its last layer", 0 },
    { "head_bias", MEGA_OPTION_BOOL, FIELD(head_bias), "false", 0, 0, NULL, NULL,
        "bias of the head", 0 },
    { "dropout", MEGA_OPTION_REAL, FIELD(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings and branches", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    { "hidden_dropout", MEGA_OPTION_REAL, FIELD(hidden_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the feed-forward's inside", 0 },
    MEGA_HEAD_GATES_OPTIONS(FIELD(gates)),
    MEGA_KEPT_HEADS_OPTION(FIELD(kept_heads)),
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static struct mega_decoder_shape shape(const void *options)
{
    return mega_transformer_shape(options);
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    const struct mega_transformer_options *o = options;
    return mega_transformer_new(b, *o, v);
}

const struct mega_decoder_type mega_decoder_transformer = {
    .name = "transformer",
    .title = "Transformer",
    .options = table,
    .options_size = sizeof(struct mega_transformer_options),
    .shape = shape,
    .build = build,
    MEGA_TRANSFORMER_RUNS,
};
