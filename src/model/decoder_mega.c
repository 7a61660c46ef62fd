#include "model/decoder_mega.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/ops.h"

#define FIELD(member) offsetof(struct mega_mega_options, member)

static const struct mega_option table[] = {
    { "layers", MEGA_OPTION_INT, FIELD(layers), "6", 1, 1000, NULL, "N",
        "number of blocks (--decoder-layers)", 0 },
    { "width", MEGA_OPTION_INT, FIELD(width), "512", 1, 1 << 20, NULL, "D",
        "model width D (--decoder-embed-dim)", 0 },
    { "values", MEGA_OPTION_INT, FIELD(values), "1024", 1, 1 << 20, NULL, "E",
        "value width E (--decoder-hidden-dim)", 0 },
    { "keys", MEGA_OPTION_INT, FIELD(keys), "128", 1, 1 << 20, NULL, "Z",
        "width of the shared queries and keys (--decoder-z-dim)", 0 },
    { "ema", MEGA_OPTION_INT, FIELD(states), "16", 1, 4096, NULL, "N",
        "EMA states for each channel (--decoder-n-dim)", 0 },
    { "ffn", MEGA_OPTION_INT, FIELD(ffn), "1024", 0, 1 << 20, NULL, "F",
        "feed-forward width F; 0: no feed-forward (--decoder-ffn-embed-dim)", 0 },
    { "chunk", MEGA_OPTION_INT, FIELD(chunk), "512", -1, 1 << 30, NULL, "C",
        "attention window; -1: full attention (--decoder-chunk-size)", 0 },
    { "truncation", MEGA_OPTION_INT, FIELD(truncation), "0", 0, 1 << 30, NULL, "M",
        "longest EMA kernel in training; 0: as long as the text (--truncation-length)", 0 },
    { "longest", MEGA_OPTION_INT, FIELD(longest), "2048", 1, 1 << 30, NULL, "T",
        "longest text where attention is full (--max-target-positions)", 0 },
    { "input_width", MEGA_OPTION_INT, FIELD(input_width), "0", 0, 1 << 20, NULL, "D",
        "width of the embedding table; 0: D (--decoder-input-dim)", 0 },
    { "activation", MEGA_OPTION_CHOICE, FIELD(act), "silu", 0, 0, MEGA_ACT_CHOICES, NULL,
        "pointwise function (--activation-fn)", 0 },
    { "attention", MEGA_OPTION_CHOICE, FIELD(attention), "softmax", 0, 0,
        MEGA_ATTENTION_CHOICES, NULL, "attention function (--attention-activation-fn)", 0 },
    { "bias", MEGA_OPTION_CHOICE, FIELD(bias), "rotary", 0, 0, "simple|rotary", NULL,
        "relative position bias (--rel-pos-bias)", 0 },
    { "norm", MEGA_OPTION_CHOICE, FIELD(norm), "layernorm", 0, 0, MEGA_NORM_CHOICES, NULL,
        "kind of norm (--normalization-type)", 0 },
    { "prenorm", MEGA_OPTION_BOOL, FIELD(prenorm), "true", 0, 0, NULL, NULL,
        "norm before each block and once at the end, instead of after each "
        "(--decoder-normalize-before)",
        0 },
    { "embed_norm", MEGA_OPTION_BOOL, FIELD(embed_norm), "false", 0, 0, NULL, NULL,
        "norm after the embedding; not with prenorm (--normalize-embedding)", 0 },
    { "affine_final_norm", MEGA_OPTION_BOOL, FIELD(affine_final_norm), "false", 0, 0, NULL,
        NULL, "gain and bias of the final norm (false: --no-affine-final-norm)", 0 },
    { "scale_embedding", MEGA_OPTION_BOOL, FIELD(scale_embedding), "true", 0, 0, NULL, NULL,
        "multiply what is embedded by sqrt(D) (false: --no-scale-embedding)", 0 },
    { "tied", MEGA_OPTION_BOOL, FIELD(tied), "true", 0, 0, NULL, NULL,
        "the table is the output matrix too (--share-decoder-input-output-embed)", 0 },
    { "dropout", MEGA_OPTION_REAL, FIELD(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings, EMA and block outputs", 0 },
    { "attention_dropout", MEGA_OPTION_REAL, FIELD(attention_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of the attention weights", 0 },
    { "hidden_dropout", MEGA_OPTION_REAL, FIELD(hidden_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of values", 0 },
    { "activation_dropout", MEGA_OPTION_REAL, FIELD(activation_dropout), "0", 0, 0.999, NULL,
        "P", "dropout of the feed-forward's inside", 0 },
    { "feature_dropout", MEGA_OPTION_BOOL, FIELD(feature_dropout), "false", 0, 0, NULL, NULL,
        "drop whole channels of a row instead of single elements (--feature-dropout)", 0 },
    { "input_cutoffs", MEGA_OPTION_TEXTS, FIELD(input_cutoffs), "", 0, 0, NULL, "N,N,...",
        "where bands of words end that are ever narrower in the embedding; none: one table "
        "(--adaptive-input-cutoff)",
        0 },
    { "input_factor", MEGA_OPTION_REAL, FIELD(input_factor), "4", 1, 1e6, NULL, "X",
        "by which each band is narrower than the one before (--adaptive-input-factor)", 0 },
    { "output_cutoffs", MEGA_OPTION_TEXTS, FIELD(output_cutoffs), "", 0, 0, NULL, "N,N,...",
        "likewise for an adaptive softmax; none: one matrix (--adaptive-softmax-cutoff). With "
        "tied the bands share their tables (--tie-adaptive-weights)",
        0 },
    { "output_factor", MEGA_OPTION_REAL, FIELD(output_factor), "4", 1, 1e6, NULL, "X",
        "by which each tail is narrower than the one before (--adaptive-softmax-factor)", 0 },
    { "output_dropout", MEGA_OPTION_REAL, FIELD(output_dropout), "0", 0, 0.999, NULL, "P",
        "dropout around the adaptive softmax (--adaptive-softmax-dropout)", 0 },
    { "tied_projections", MEGA_OPTION_BOOL, FIELD(tied_projections), "false", 0, 0, NULL, NULL,
        "tied bands share their projections, too (--tie-adaptive-proj)", 0 },
    { "as_original", MEGA_OPTION_BOOL, FIELD(as_original), "false", 0, 0, NULL, NULL,
        "bands with the defects of the original code: a word whose number in its band is the "
        "padding's counts in the head alone, and starts at zero",
        0 },
    MEGA_BRANCH_GATES_OPTIONS(FIELD(gates)),
    MEGA_KEPT_BRANCHES_OPTION(FIELD(kept_heads)),
    MEGA_CHANNEL_GATES_OPTIONS(FIELD(gates), FIELD(channel_block), FIELD(kept_channels)),
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static struct mega_decoder_shape shape(const void *options)
{
    const struct mega_mega_options *o = options;
    return (struct mega_decoder_shape){ .layers = o->layers,
        .width = o->width,
        .chunk = o->chunk > 0 ? o->chunk : 0,
        .longest = o->chunk > 0 ? 0 : o->longest,
        .recompute = mega_recompute_resolve(o->recompute) };
}

/* ---- declaration ---- */

static mega_status check(const struct mega_mega_options *o)
{
    if (o->embed_norm && o->prenorm)
        return mega_fail(MEGA_BAD_ARGUMENT, "embed_norm and prenorm are both true: a norm "
                                            "after the embedding needs prenorm: false");
    if (o->tied && o->input_width && o->input_width != o->width)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "tied is true, but input_width is %lld and width %lld: expected the same",
            (long long)o->input_width, (long long)o->width);
    if (o->output_cutoffs.n && o->tied &&
        (!o->input_cutoffs.n || o->input_factor != o->output_factor))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "output_cutoffs are tied to the embedding: expected equal input_cutoffs and "
            "factors, or tied: false");
    if (o->input_cutoffs.n && o->tied && !o->output_cutoffs.n)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "tied is true, but an embedding in bands is no matrix: expected output_cutoffs, or "
            "tied: false");
    if (o->norm == MEGA_BATCHNORM || o->norm == MEGA_SYNCBATCHNORM)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norm is over the batch, which a causal model cannot know: expected one of "
            "layernorm, scalenorm, rmsnorm");
    if (!o->ffn && (o->gates.channels || (o->kept_channels && *o->kept_channels)))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "channel_gates or kept_channels is given, but ffn is 0: there are no channels");
    MEGA_TRY(mega_kept_check(&mega_kept_channels_words, o->kept_channels, o->layers));
    return mega_kept_heads_check(o->kept_heads, o->layers);
}

/* cutoffs as numbers; false: one is none, or there are too many */
static bool read_bands(mega_build *b, struct mega_bands_options *to, const char *key,
    const struct mega_texts *cutoffs, double factor, int64_t V)
{
    *to =
        (struct mega_bands_options){ .vocabulary = V, .cutoffs = cutoffs->n, .factor = factor };
    if (!b->status && cutoffs->n > MEGA_BANDS - 1)
        b->status = mega_fail(MEGA_BAD_ARGUMENT, "%s: %d cutoffs, expected at most %d", key,
            cutoffs->n, MEGA_BANDS - 1);
    for (int i = 0; i < cutoffs->n && !b->status; i++) {
        char *end;
        to->cutoff[i] = strtoll(cutoffs->item[i], &end, 10);
        if (*end || end == cutoffs->item[i])
            b->status = mega_fail(
                MEGA_BAD_ARGUMENT, "%s: '%s' is no whole number", key, cutoffs->item[i]);
    }
    return !b->status;
}

static void build_embedding(mega_build *b, struct mega_mega_decoder *m)
{
    const struct mega_mega_options *o = &m->options;
    int64_t V = m->vocabulary.size, D = o->width, in = o->input_width ? o->input_width : D;
    size_t entered = mega_build_enter(b, "embed_tokens");
    m->has_input_bands = o->input_cutoffs.n > 0;
    struct mega_adaptive_input_options bands = { .input_width = in,
        .width = D,
        .pad = m->vocabulary.pad,
        .zero_each = o->as_original,
        .scale = o->scale_embedding ? sqrt((double)D) : 1 };
    if (!m->has_input_bands)
        m->table = mega_param_add(b, "weight",
            (struct mega_init){ MEGA_INIT_NORMAL, 0, 1 / sqrt((double)in) }, 2,
            (int64_t[]){ V, in });
    else if (read_bands(
                 b, &bands.bands, "input_cutoffs", &o->input_cutoffs, o->input_factor, V))
        mega_adaptive_input_build(b, &m->input_bands, &bands);
    mega_build_leave(b, entered);
    if (in != D && !m->has_input_bands)
        m->project_in = mega_param_add(b, "project_in_dim.weight",
            (struct mega_init){ MEGA_INIT_XAVIER, 0, 0 }, 2, (int64_t[]){ D, in });
    m->drop_embed = (struct mega_dropout){ "embed_tokens", o->dropout, MEGA_DROPOUT_ELEMENTS };
}

static void build_output(mega_build *b, struct mega_mega_decoder *m)
{
    const struct mega_mega_options *o = &m->options;
    int64_t V = m->vocabulary.size, D = o->width;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 1 / sqrt((double)D) };
    m->has_output_bands = o->output_cutoffs.n > 0;
    if (!m->has_output_bands) {
        m->head = o->tied ? m->table
                          : mega_param_add(
                                b, "output_projection.weight", small, 2, (int64_t[]){ V, D });
        return;
    }
    struct mega_adaptive_softmax_options bands = { .width = D,
        .dropout = o->output_dropout,
        .tied = o->tied ? &m->input_bands : NULL,
        .tied_projections = o->tied && o->tied_projections,
        .pad = m->vocabulary.pad,
        .skip_pad_number = o->as_original };
    size_t entered = mega_build_enter(b, "adaptive_softmax");
    if (read_bands(b, &bands.bands, "output_cutoffs", &o->output_cutoffs, o->output_factor, V))
        mega_adaptive_softmax_build(b, &m->output_bands, &bands);
    mega_build_leave(b, entered);
}

static void build_norm(mega_build *b, struct mega_norm *n, const char *name,
    const struct mega_mega_options *o, bool affine)
{
    size_t entered = mega_build_enter(b, "%s", name);
    mega_norm_build(b, n, (enum mega_norm_type)o->norm, o->width, affine);
    mega_build_leave(b, entered);
}

static void build_attention(mega_build *b, struct mega_gated_attention *m, int64_t layer,
    const struct mega_mega_options *o)
{
    size_t entered = mega_build_enter(b, "mega_layer");
    mega_gated_attention_build(b, m,
        &(struct mega_gated_attention_options){ .width = o->width,
            .values = o->values,
            .keys = o->keys,
            .states = o->states,
            .chunk = o->chunk,
            .truncation = o->truncation,
            .longest = o->longest,
            .act = o->act,
            .attention = o->attention,
            .bias = o->bias,
            .norm = o->norm,
            .prenorm = o->prenorm,
            .affine = true,
            .causal = true,
            .feature_dropout = o->feature_dropout,
            .dropout = o->dropout,
            .attention_dropout = o->attention_dropout,
            .hidden_dropout = o->hidden_dropout,
            .gates = o->gates,
            .kept = o->kept_heads,
            .layer = layer });
    mega_build_leave(b, entered);
}

static void build_feed_forward(mega_build *b, struct mega_feed_forward *f, int64_t layer,
    const struct mega_mega_options *o)
{
    size_t entered = mega_build_enter(b, "nffn");
    mega_feed_forward_build(b, f,
        &(struct mega_feed_forward_options){ .width = o->width,
            .hidden = o->ffn,
            .act = o->act,
            .norm = o->norm,
            .prenorm = o->prenorm,
            .affine = true,
            .feature_dropout = o->feature_dropout,
            .dropout = o->dropout,
            .hidden_dropout = o->activation_dropout,
            .gates = o->gates,
            .block = o->channel_block,
            .kept = o->kept_channels,
            .layer = layer });
    mega_build_leave(b, entered);
}

static void build_layers(mega_build *b, struct mega_mega_decoder *m)
{
    const struct mega_mega_options *o = &m->options;
    mega_stack_build(b, &m->stack, o->layers, mega_recompute_resolve(o->recompute));
    m->layer = mega_arena_zeroed(&b->store->names, (size_t)o->layers * sizeof *m->layer);
    if (!m->layer && !b->status)
        b->status =
            mega_fail(MEGA_NO_MEMORY, "no memory to declare %lld layers", (long long)o->layers);
    for (int64_t i = 0; i < o->layers && !b->status; i++) {
        struct mega_mega_layer *layer = &m->layer[i];
        snprintf(layer->path, sizeof layer->path, "layers.%lld", (long long)i);
        layer->has_feed_forward = o->ffn > 0;
        size_t entered = mega_build_enter(b, "%s", layer->path);
        build_attention(b, &layer->attention, i, o);
        if (layer->has_feed_forward) build_feed_forward(b, &layer->feed_forward, i, o);
        mega_build_leave(b, entered);
    }
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    const struct mega_mega_options *o = options;
    if (!b->status) b->status = check(o);
    struct mega_mega_decoder *m =
        b->status ? NULL : mega_arena_zeroed(&b->store->names, sizeof *m);
    if (!m) {
        if (!b->status) b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare a decoder");
        return NULL;
    }
    *m = (struct mega_mega_decoder){ .options = *o, .vocabulary = *v };
    size_t entered = mega_build_enter(b, "decoder");
    build_embedding(b, m);
    build_output(b, m);
    if (o->embed_norm) build_norm(b, &m->embed_norm, "embed_norm", o, true);
    build_layers(b, m);
    if (o->prenorm) build_norm(b, &m->final_norm, "final_norm", o, o->affine_final_norm);
    mega_build_leave(b, entered);
    return b->status ? NULL : m;
}

/* ---- running ---- */

static mega_tensor *embed(mega_run *r, const struct mega_mega_decoder *m, mega_tensor *ids,
    const struct mega_rows *rows)
{
    const struct mega_mega_options *o = &m->options;
    double scale = o->scale_embedding ? sqrt((double)o->width) : 1;
    mega_tensor *x = m->has_input_bands ? mega_adaptive_input_run(r, &m->input_bands, ids)
                                        : embedding(r, m->table, ids, m->vocabulary.pad, scale);
    if (m->project_in) x = linear(r, x, m->project_in, NULL, MEGA_ACT_LINEAR);
    if (o->embed_norm) x = mega_norm_run(r, &m->embed_norm, x);
    return mask_padding(r, mega_dropout_run(r, &m->drop_embed, x, rows), rows);
}

static void layer_block(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct mega_mega_layer *layer = self;
    c->x = mega_gated_attention_run(r, &layer->attention, c->x, rows);
    if (layer->has_feed_forward)
        c->x = mega_feed_forward_run(r, &layer->feed_forward, c->x, rows);
}

static mega_tensor *features(
    mega_run *r, const void *self, mega_tensor *ids, const struct mega_rows *rows)
{
    const struct mega_mega_decoder *m = self;
    struct mega_carry carry = { .x = embed(r, m, ids, rows) };
    mega_run_tap(r, "embedded", carry.x);
    for (int64_t i = 0; i < m->options.layers; i++) {
        struct mega_block block = { m->layer[i].path, 0, m->stack.again[i], layer_block,
            &m->layer[i] };
        mega_run_block(r, &block, &carry, rows);
        mega_run_tap(r, m->layer[i].path, carry.x);
    }
    if (m->options.prenorm) carry.x = mega_norm_run(r, &m->final_norm, carry.x);
    return mask_padding(r, carry.x, rows);
}

static struct mega_output output(const void *self)
{
    const struct mega_mega_decoder *m = self;
    return (struct mega_output){ .weight = m->head,
        .adaptive = m->has_output_bands ? &m->output_bands : NULL };
}

static struct mega_stack *stack(void *self)
{
    struct mega_mega_decoder *m = self;
    return &m->stack;
}

const struct mega_decoder_type mega_decoder_mega = {
    .name = "mega",
    .title = "Mega",
    .options = table,
    .options_size = sizeof(struct mega_mega_options),
    .shape = shape,
    .build = build,
    .features = features,
    .output = output,
    .stack = stack,
};
