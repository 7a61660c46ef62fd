/* GPT-2 (Radford et al., 2019): learned positions, LayerNorm, GELU, biases everywhere. */
#include "model/transformer_decoder.h"
#include "op/contracts.h"

struct gpt2 {
    int64_t layers, width, heads, ffn, longest;
    double norm_eps, dropout, attention_dropout;
    int act;
    bool tied;
    int recompute;
};

#define FIELD(member) offsetof(struct gpt2, member)

static const struct mega_option table[] = {
    { "layers", MEGA_OPTION_INT, FIELD(layers), "12", 1, 1000, NULL, "N",
        "number of layers (n_layer)", 0 },
    { "width", MEGA_OPTION_INT, FIELD(width), "768", 1, 1 << 20, NULL, "D",
        "model width D (n_embd)", 0 },
    { "heads", MEGA_OPTION_INT, FIELD(heads), "12", 1, 1 << 16, NULL, "H",
        "attention heads (n_head)", 0 },
    { "ffn", MEGA_OPTION_INT, FIELD(ffn), "0", 0, 1 << 20, NULL, "F",
        "feed-forward width; 0: 4 D (n_inner)", 0 },
    { "longest", MEGA_OPTION_INT, FIELD(longest), "1024", 1, 1 << 30, NULL, "T",
        "longest text (n_positions)", 0 },
    { "activation", MEGA_OPTION_CHOICE, FIELD(act), "gelu_tanh", 0, 0, MEGA_ACT_CHOICES, NULL,
        "pointwise function (activation_function)", 0 },
    { "norm_eps", MEGA_OPTION_REAL, FIELD(norm_eps), "1e-5", 0, 1, NULL, "X",
        "epsilon of the norms (layer_norm_epsilon)", 0 },
    { "tied", MEGA_OPTION_BOOL, FIELD(tied), "true", 0, 0, NULL, NULL,
        "the table is the head too (tie_word_embeddings)", 0 },
    { "dropout", MEGA_OPTION_REAL, FIELD(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings and branches (resid_pdrop, embd_pdrop)", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights (attn_pdrop)", 0 },
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static struct mega_transformer_options options_of(const struct gpt2 *o)
{
    return (struct mega_transformer_options){ .width = o->width,
        .plan = { .layers = o->layers },
        .ffn = { .each = o->ffn ? o->ffn : 4 * o->width },
        .longest = o->longest,
        .heads = { .each = o->heads },
        .chunk = { .each = -1 },
        .positions = MEGA_POSITIONS_LEARNED,
        .position_scale = 1,
        .act = o->act,
        .norm = MEGA_LAYERNORM,
        .norm_eps = o->norm_eps,
        .norm_affine = true,
        .norm_bias = true,
        .placement = MEGA_PLACEMENT_PRE,
        .tied = o->tied,
        .attention_bias = true,
        .up_bias = true,
        .down_bias = true,
        .dropout = o->dropout,
        .attention_dropout = { .each = o->attention_dropout },
        .recompute = o->recompute };
}

static struct mega_decoder_shape shape(const void *options)
{
    struct mega_transformer_options o = options_of(options);
    return mega_transformer_shape(&o);
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    return mega_transformer_new(b, options_of(options), v);
}

const struct mega_decoder_type mega_decoder_gpt2 = {
    .name = "gpt2",
    .title = "GPT-2",
    .options = table,
    .options_size = sizeof(struct gpt2),
    .shape = shape,
    .build = build,
    MEGA_TRANSFORMER_RUNS,
};
