/* Megalodon (Ma et al., 2024) as the body of a language model. */
#include "model/decoder.h"
#include "model/megalodon.h"

#define FIELD(member) offsetof(struct mega_megalodon_model_options, member)
#define LAYER(member) offsetof(struct mega_megalodon_model_options, layer.member)

static const struct mega_option table[] = {
    { "layers", MEGA_OPTION_INT, FIELD(layers), "6", 1, 1000, NULL, "N",
        "number of layers (num_layers)", 0 },
    { "width", MEGA_OPTION_INT, LAYER(width), "512", 1, 1 << 20, NULL, "D",
        "model width D (model_dim)", 0 },
    { "values", MEGA_OPTION_INT, LAYER(values), "1024", 1, 1 << 20, NULL, "E",
        "width of values, all heads together (value_dim)", 0 },
    { "keys", MEGA_OPTION_INT, LAYER(keys), "128", 2, 1 << 20, NULL, "Z",
        "width of queries and keys, all heads together (z_dim)", 0 },
    { "heads", MEGA_OPTION_INT, LAYER(heads), "1", 1, 4096, NULL, "H",
        "heads of attention (num_heads)", 0 },
    { "ffn", MEGA_OPTION_INT, LAYER(hidden), "1024", 1, 1 << 20, NULL, "F",
        "feed-forward width F (ffn_hidden_dim)", 0 },
    { "ema", MEGA_OPTION_INT, LAYER(states), "16", 1, 4096, NULL, "N",
        "complex EMA states for each channel (cema_ndim)", 0 },
    { "chunk", MEGA_OPTION_INT, LAYER(chunk), "512", 1, 1 << 30, NULL, "C",
        "attention window (chunk_size)", 0 },
    { "groups", MEGA_OPTION_INT, LAYER(groups), "32", 1, 1 << 20, NULL, "G",
        "groups of the timestep norm, which divide the width (norm_num_groups)", 0 },
    { "rotary_base", MEGA_OPTION_REAL, LAYER(rotary_base), "10000", 1, 1e12, NULL, "BASE",
        "base of the rotary frequencies (rope_base)", 0 },
    { "swiglu", MEGA_OPTION_BOOL, LAYER(swiglu), "true", 0, 0, NULL, NULL,
        "a gated feed-forward", 0 },
    { "rescale", MEGA_OPTION_BOOL, LAYER(rescale), "false", 0, 0, NULL, NULL,
        "a trained factor of each layer's feed-forward (rescale_nffn)", 0 },
    { "norm_affine", MEGA_OPTION_BOOL, LAYER(affine), "true", 0, 0, NULL, NULL,
        "gains of the norms but the timestep norm, which has them always", 0 },
    { "norm_eps", MEGA_OPTION_REAL, LAYER(norm_eps), "1e-5", 0, 1, NULL, "EPS",
        "inside the root of every norm", 0 },
    { "scale_embedding", MEGA_OPTION_BOOL, FIELD(scale_embedding), "false", 0, 0, NULL, NULL,
        "multiply what is embedded by sqrt(D) (scale_emb)", 0 },
    { "tied", MEGA_OPTION_BOOL, FIELD(share_embedding), "false", 0, 0, NULL, NULL,
        "the table is the output matrix too (share_emb)", 0 },
    { "output_size", MEGA_OPTION_INT, FIELD(output), "0", 0, 1 << 30, NULL, "V",
        "tokens that can come out; 0: the vocabulary (output_size)", 0 },
    { "dropout", MEGA_OPTION_REAL, LAYER(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings and branches", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, LAYER(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    { "drop_keys", MEGA_OPTION_BOOL, LAYER(drop_keys), "false", 0, 0, NULL, NULL,
        "attention dropout hides keys before the softmax (efficient_attn: swift, fused)", 0 },
    { "hidden_dropout", MEGA_OPTION_REAL, LAYER(hidden_dropout), "0", 0, 0.999, NULL, "P",
        "dropout inside the branches", 0 },
    { "init", MEGA_OPTION_CHOICE, LAYER(init), "he", 0, 0, MEGA_MEGALODON_INIT_CHOICES, NULL,
        "how weights begin (init_mode)", 0 },
    { "port", MEGA_OPTION_BOOL, LAYER(port), "false", 0, 0, NULL, NULL,
        "compute as the public PyTorch port does, for weights that it trained", 0 },
    MEGA_HEAD_GATES_OPTIONS(LAYER(gates)),
    { "branch_gates", MEGA_OPTION_CHOICE, LAYER(gates.branches), "none", 0, 0, "none|concrete",
        NULL, "a gate of each layer's attention as a whole, in place of its heads'", 0 },
    MEGA_KEPT_HEADS_OPTION(LAYER(kept_heads)),
    MEGA_CHANNEL_GATES_OPTIONS(LAYER(gates), LAYER(channel_block), LAYER(kept_channels)),
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static struct mega_decoder_shape shape(const void *options)
{
    const struct mega_megalodon_model_options *o = options;
    return (struct mega_decoder_shape){ .layers = o->layers,
        .width = o->layer.width,
        .chunk = o->layer.chunk,
        .recompute = mega_recompute_resolve(o->recompute) };
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    struct mega_megalodon_model_options o =
        *(const struct mega_megalodon_model_options *)options;
    struct mega_megalodon *m =
        b->status ? NULL : mega_arena_zeroed(&b->store->names, sizeof *m);
    if (!m) {
        if (!b->status) b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare a decoder");
        return NULL;
    }
    o.vocabulary = v->size;
    o.pad = v->pad;
    mega_megalodon_build(b, m, &o);
    return b->status ? NULL : m;
}

static mega_tensor *features(
    mega_run *r, const void *self, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_megalodon_features(r, self, ids, rows);
}

static struct mega_output output(const void *self)
{
    const struct mega_megalodon *m = self;
    return (struct mega_output){ .weight = m->output };
}

static struct mega_stack *stack(void *self)
{
    struct mega_megalodon *m = self;
    return &m->stack;
}

const struct mega_decoder_type mega_decoder_megalodon = {
    .name = "megalodon",
    .title = "Megalodon",
    .options = table,
    .options_size = sizeof(struct mega_megalodon_model_options),
    .shape = shape,
    .build = build,
    .features = features,
    .output = output,
    .stack = stack,
};
