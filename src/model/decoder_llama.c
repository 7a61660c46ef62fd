/* Llama (Touvron et al., 2023): RMSNorm, rotary positions, SwiGLU, grouped keys and values. */
#include "model/transformer_decoder.h"
#include "op/contracts.h"

struct llama {
    int64_t layers, width, heads, kv_heads, head_width, ffn, longest, chunk;
    double rope_theta, norm_eps, dropout;
    bool tied, interleaved;
    int recompute;
};

#define FIELD(member) offsetof(struct llama, member)

static const struct mega_option table[] = {
    { "layers", MEGA_OPTION_INT, FIELD(layers), "6", 1, 1000, NULL, "N",
        "number of layers (num_hidden_layers)", 0 },
    { "width", MEGA_OPTION_INT, FIELD(width), "512", 1, 1 << 20, NULL, "D",
        "model width D (hidden_size)", 0 },
    { "heads", MEGA_OPTION_INT, FIELD(heads), "8", 1, 1 << 16, NULL, "H",
        "attention heads (num_attention_heads)", 0 },
    { "kv_heads", MEGA_OPTION_INT, FIELD(kv_heads), "0", 0, 1 << 16, NULL, "G",
        "heads of keys and values, each read by H/G heads; 0: H (num_key_value_heads)", 0 },
    { "head_width", MEGA_OPTION_INT, FIELD(head_width), "0", 0, 1 << 16, NULL, "d",
        "channels of a head; 0: D/H (head_dim)", 0 },
    { "ffn", MEGA_OPTION_INT, FIELD(ffn), "0", 0, 1 << 20, NULL, "F",
        "feed-forward width; 0: 8/3 D, up to a multiple of 32 (intermediate_size)", 0 },
    { "longest", MEGA_OPTION_INT, FIELD(longest), "2048", 1, 1 << 30, NULL, "T",
        "longest text (max_position_embeddings)", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "-1", -1, 1 << 30, NULL, "C",
        "attention window; -1: full attention", 0 },
    { "rope_theta", MEGA_OPTION_REAL, FIELD(rope_theta), "10000", 1, 1e12, NULL, "X",
        "base of the rotary frequencies (rope_theta)", 0 },
    { "norm_eps", MEGA_OPTION_REAL, FIELD(norm_eps), "1e-5", 0, 1, NULL, "X",
        "epsilon of the norms (rms_norm_eps)", 0 },
    { "tied", MEGA_OPTION_BOOL, FIELD(tied), "false", 0, 0, NULL, NULL,
        "the table is the head too (tie_word_embeddings)", 0 },
    { "interleaved", MEGA_OPTION_BOOL, FIELD(interleaved), "false", 0, 0, NULL, NULL,
        "channels 2t and 2t+1 turn together, as in the authors' files and llama2.c, instead of "
        "t and t + d/2, as in Hugging Face's",
        0 },
    { "dropout", MEGA_OPTION_REAL, FIELD(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings and branches", 0 },
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static struct mega_transformer_options options_of(const struct llama *o)
{
    int64_t d = o->head_width ? o->head_width : o->width / o->heads;
    return (struct mega_transformer_options){ .width = o->width,
        .plan = { .layers = o->layers },
        .ffn = { .each = o->ffn ? o->ffn : (8 * o->width / 3 + 31) / 32 * 32 },
        .longest = o->longest,
        .heads = { .each = o->heads },
        .kv_heads = { .each = o->kv_heads },
        .keys = { .each = d },
        .chunk = { .each = o->chunk },
        .attention.rotary = { .dims = d,
            .base = o->rope_theta,
            .factor = 1,
            .interleaved = o->interleaved },
        .positions = MEGA_POSITIONS_NONE,
        .act = MEGA_ACT_SILU,
        .gated = true,
        .norm = MEGA_RMSNORM,
        .norm_eps = o->norm_eps,
        .norm_affine = true,
        .placement = MEGA_PLACEMENT_PRE,
        .tied = o->tied,
        .dropout = o->dropout,
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

const struct mega_decoder_type mega_decoder_llama = {
    .name = "llama",
    .title = "Llama",
    .options = table,
    .options_size = sizeof(struct llama),
    .shape = shape,
    .build = build,
    MEGA_TRANSFORMER_RUNS,
};
