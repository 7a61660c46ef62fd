#include "model/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

#define FIELD(member) offsetof(struct mega_encoder_options, member)

const struct mega_option mega_encoder_options[] = {
    { "mixer", MEGA_OPTION_CHOICE, FIELD(mixer), "mega", 0, 0, MEGA_MIXER_CHOICES, NULL,
        "what moves information along the text", 0 },
    { "layers", MEGA_OPTION_INT, FIELD(layers), "4", 1, 1000, NULL, "N",
        "number of blocks (--encoder-layers)", 0 },
    { "width", MEGA_OPTION_INT, FIELD(width), "128", 1, 1 << 20, NULL, "D",
        "model width D (--encoder-embed-dim)", 0 },
    { "ffn", MEGA_OPTION_INT, FIELD(ffn), "256", 0, 1 << 20, NULL, "F",
        "feed-forward width F; 0: no feed-forward (--encoder-ffn-embed-dim)", 0 },
    { "gated", MEGA_OPTION_BOOL, FIELD(gated), "false", 0, 0, NULL, NULL,
        "feed-forward with a gate (swiglu with silu, geglu with gelu); not with mixer mega",
        0 },
    { "longest", MEGA_OPTION_INT, FIELD(longest), "1024", 1, 1 << 30, NULL, "T",
        "longest text that the model is made for (--max-positions)", 0 },
    { "activation", MEGA_OPTION_CHOICE, FIELD(act), "silu", 0, 0, MEGA_ACT_CHOICES, NULL,
        "pointwise function (--activation-fn)", 0 },
    { "norm", MEGA_OPTION_CHOICE, FIELD(norm), "layernorm", 0, 0, MEGA_NORM_CHOICES, NULL,
        "kind of norm (--norm-type)", 0 },
    { "prenorm", MEGA_OPTION_BOOL, FIELD(prenorm), "false", 0, 0, NULL, NULL,
        "norm before each block and once at the end, instead of after each "
        "(--encoder-normalize-before)",
        0 },
    { "positions", MEGA_OPTION_CHOICE, FIELD(positions), "none", 0, 0, MEGA_POSITIONS_CHOICES,
        NULL, "absolute positions, added to what is embedded", 0 },
    { "embed_norm", MEGA_OPTION_BOOL, FIELD(embed_norm), "false", 0, 0, NULL, NULL,
        "norm after the embedding; not with prenorm (--normalize-embedding)", 0 },
    { "dropout", MEGA_OPTION_REAL, FIELD(dropout), "0", 0, 0.999, NULL, "P",
        "dropout of embeddings, EMA, block and head outputs", 0 },
    { "hidden_dropout", MEGA_OPTION_REAL, FIELD(hidden_dropout), "0", 0, 0.999, NULL, "P",
        "dropout of values and of the feed-forward's inside (--act-dropout)", 0 },
    { "feature_dropout", MEGA_OPTION_BOOL, FIELD(feature_dropout), "false", 0, 0, NULL, NULL,
        "drop whole channels of a row instead of single elements (--feature-dropout)", 0 },
    MEGA_RECOMPUTE_OPTION(FIELD(recompute)),
    { 0 },
};

static bool owns_block(const struct mega_encoder_options *o, const void *mixer_options)
{
    return mega_mixers[o->mixer]->can(mixer_options) & MEGA_MIX_OWNS_BLOCK;
}

static mega_status check(const struct mega_encoder_options *o, const void *mixer_options,
    const struct mega_mixer_place *place)
{
    if (o->embed_norm && o->prenorm)
        return mega_fail(MEGA_BAD_ARGUMENT, "embed_norm and prenorm are both true: a norm "
                                            "after the embedding needs prenorm: false");
    if (o->gated && owns_block(o, mixer_options))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "gated is true, but the feed-forward of mixer %s has no gate: expected false",
            mega_mixers[o->mixer]->name);
    return mega_mixers[o->mixer]->check(mixer_options, place);
}

static void build_embedding(mega_build *b, struct mega_encoder *e)
{
    int64_t D = e->options.width;
    size_t entered = mega_build_enter(b, "embed_tokens");
    if (e->inputs.numbers) {
        e->number_weight =
            mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 1 }, 1, &D);
        e->number_bias =
            mega_param_add(b, "bias", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.1 }, 1, &D);
    } else {
        struct mega_init init = { MEGA_INIT_NORMAL, 0, 1 / sqrt((double)D) };
        e->table =
            mega_param_add(b, "embed.weight", init, 2, (int64_t[]){ e->inputs.vocabulary, D });
    }
    mega_build_leave(b, entered);
}

/* the feed-forward of Mega, with its norm and residual */
static void build_feed_forward(
    mega_build *b, struct mega_encoder_layer *layer, const struct mega_encoder_options *o)
{
    size_t entered = mega_build_enter(b, "nffn");
    mega_feed_forward_build(b, &layer->feed_forward,
        &(struct mega_feed_forward_options){
            .width = o->width,
            .hidden = o->ffn,
            .act = o->act,
            .norm = o->norm,
            .prenorm = o->prenorm,
            .affine = true,
            .feature_dropout = o->feature_dropout,
            .dropout = o->dropout,
            .hidden_dropout = o->hidden_dropout,
        });
    mega_build_leave(b, entered);
}

/* norm and residual around a branch, which `reads` the stream or does not; the one norm is
 * called `name` */
static void build_sublayer(mega_build *b, struct mega_sublayer *s, const char *name,
    const char *site, bool reads, const struct mega_encoder_options *o)
{
    struct mega_sublayer_names names = { name, name, name };
    mega_sublayer_build(b, s,
        &(struct mega_sublayer_options){
            .placement = !o->prenorm ? MEGA_PLACEMENT_POST
                         : reads     ? MEGA_PLACEMENT_PRE
                                     : MEGA_PLACEMENT_NONE,
            .norm = { .type = (enum mega_norm_type)o->norm,
                .width = o->width,
                .affine = true,
                .bias = true,
                .eps = MEGA_NORM_EPS },
            .dropout = o->dropout,
            .feature_dropout = o->feature_dropout,
            .site = site,
            .names = &names,
        });
}

/* the two sublayers of a Transformer's block, by the names of the official Transformer */
static void build_sublayers(
    mega_build *b, struct mega_encoder_layer *layer, const struct mega_encoder_options *o)
{
    bool reads =
        !layer->self || !layer->mixer->is_constant || !layer->mixer->is_constant(layer->self);
    build_sublayer(b, &layer->around_mixer, "self_attn_layer_norm", "self_attn", reads, o);
    if (!layer->has_feed_forward) return;
    build_sublayer(b, &layer->around_mlp, "final_layer_norm", "fc2", true, o);
    mega_mlp_build(b, &layer->mlp,
        &(struct mega_mlp_options){
            .width = o->width,
            .hidden = o->ffn,
            .act = o->act,
            .gated = o->gated,
            .up_bias = true,
            .down_bias = true,
            .dropout = o->hidden_dropout,
            .feature_dropout = o->feature_dropout,
        });
}

static void build_layer(mega_build *b, struct mega_encoder *e, struct mega_encoder_layer *layer,
    int64_t i, const void *mixer_options, const struct mega_mixer_place *place)
{
    const struct mega_encoder_options *o = &e->options;
    size_t entered = mega_build_enter(b, "layers.%lld", (long long)i);
    snprintf(layer->path, sizeof layer->path, "layers.%lld", (long long)i);
    layer->mixer = mega_mixers[o->mixer];
    struct mega_mixer_place own = *place;
    own.layer = i;
    layer->self = layer->mixer->build(b, mixer_options, &own);
    layer->has_feed_forward = o->ffn > 0;
    layer->owns_block = owns_block(o, mixer_options);
    if (!layer->owns_block)
        build_sublayers(b, layer, o);
    else if (layer->has_feed_forward)
        build_feed_forward(b, layer, o);
    mega_build_leave(b, entered);
}

static void build_positions(mega_build *b, struct mega_encoder *e)
{
    const struct mega_encoder_options *o = &e->options;
    size_t entered = mega_build_enter(b, "embed_positions");
    mega_positions_build(
        b, &e->positions, (enum mega_positions_type)o->positions, o->width, o->longest, 1);
    mega_build_leave(b, entered);
}

static void build_norm(
    mega_build *b, struct mega_norm *n, const char *name, const struct mega_encoder_options *o)
{
    size_t entered = mega_build_enter(b, "%s", name);
    mega_norm_build(b, n, (enum mega_norm_type)o->norm, o->width, true);
    mega_build_leave(b, entered);
}

void mega_encoder_build(mega_build *b, struct mega_encoder *e,
    const struct mega_encoder_options *o, const void *mixer_options,
    const struct mega_inputs *inputs)
{
    *e = (struct mega_encoder){ .options = *o, .inputs = *inputs };
    struct mega_mixer_place place = {
        .width = o->width,
        .longest = o->longest,
        .act = o->act,
        .norm = o->norm,
        .prenorm = o->prenorm,
        .feature_dropout = o->feature_dropout,
        .dropout = o->dropout,
        .hidden_dropout = o->hidden_dropout,
    };
    if (!b->status) b->status = check(o, mixer_options, &place);
    if (b->status) return;
    e->multiple = mega_mixers[o->mixer]->multiple(mixer_options);
    e->drop_embed = (struct mega_dropout){ "embed_tokens", o->dropout, MEGA_DROPOUT_ELEMENTS };
    e->layer = mega_arena_zeroed(&b->store->names, (size_t)o->layers * sizeof *e->layer);
    if (!e->layer) {
        b->status =
            mega_fail(MEGA_NO_MEMORY, "no memory to declare %lld layers", (long long)o->layers);
        return;
    }
    mega_stack_build(b, &e->stack, o->layers, (enum mega_recompute)o->recompute);
    build_embedding(b, e);
    build_positions(b, e);
    if (o->embed_norm) build_norm(b, &e->embed_norm, "embed_norm", o);
    for (int64_t i = 0; i < o->layers && !b->status; i++)
        build_layer(b, e, &e->layer[i], i, mixer_options, &place);
    if (o->prenorm) build_norm(b, &e->final_norm, "final_norm", o);
}

/* right-padded rows: the same places, T' of them */
static const struct mega_rows *longer_rows(mega_run *r, const struct mega_rows *rows, int64_t T)
{
    struct mega_rows *longer = mega_run_memory(r, sizeof *longer);
    int32_t *len = mega_run_memory(r, (size_t)rows->B * sizeof *len);
    int32_t *real =
        rows->real ? mega_run_memory(r, (size_t)(rows->B * T) * sizeof *real) : NULL;
    if (mega_run_status(r)) return rows;
    for (int64_t b = 0; b < rows->B; b++) {
        len[b] = (int32_t)mega_rows_len(rows, b);
        for (int64_t t = 0; real && t < T; t++)
            real[b * T + t] = t < rows->T && rows->real[b * rows->T + t];
    }
    *longer = *rows;
    longer->T = T;
    longer->len = len;
    longer->real = real;
    longer->doc = NULL;
    return longer;
}

/* ids [B, T] -> [B, T'], filled with pad */
static mega_tensor *longer_text(mega_run *r, const mega_tensor *text, int64_t T, int64_t pad)
{
    int64_t B = text->dim[0];
    mega_tensor *longer = mega_run_tensor(r, MEGA_I32, 2, (int64_t[]){ B, T });
    for (int64_t b = 0; longer && longer->data && b < B; b++)
        for (int64_t t = 0; t < T; t++)
            ((int32_t *)longer->data)[b * T + t] =
                t < text->dim[1] ? ((const int32_t *)mega_row(text, b))[t] : (int32_t)pad;
    return longer;
}

/* [B, T, D]. Beside sines of size 1 the small rows of the table are multiplied by sqrt(D), as
 * in the official Transformer. */
static mega_tensor *embed(
    mega_run *r, const struct mega_encoder *e, mega_tensor *text, const struct mega_rows *rows)
{
    bool sines = e->positions.type == MEGA_POSITIONS_SINUSOIDAL;
    mega_tensor *x = e->inputs.numbers
                         ? number_embedding(r, text, e->number_weight, e->number_bias)
                         : embedding(r, e->table, text, e->inputs.pad,
                               sines ? sqrt((double)e->options.width) : 1);
    return mega_positions_run(r, &e->positions, x, rows);
}

static void layer_block(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct mega_encoder_layer *layer = self;
    const struct mega_sublayer *around = layer->owns_block ? NULL : &layer->around_mixer;
    mega_tensor *z = around ? mega_sublayer_read(r, around, c->x) : c->x;
    mega_tensor *y = layer->mixer->forward(r, layer->self, z, rows);
    c->x = around ? mega_sublayer_write(r, around, c->x, y, rows) : y;
    if (!layer->has_feed_forward) return;
    c->x = around ? mega_sublayer_mlp(r, &layer->around_mlp, &layer->mlp, c->x, rows)
                  : mega_feed_forward_run(r, &layer->feed_forward, c->x, rows);
}

/* a batch norm's statistics are those of all places */
static bool counts_padding(const struct mega_encoder_options *o)
{
    return o->norm == MEGA_BATCHNORM || o->norm == MEGA_SYNCBATCHNORM;
}

mega_tensor *mega_encoder_run(
    mega_run *r, const struct mega_encoder *e, mega_tensor *text, const struct mega_rows **rows)
{
    const struct mega_encoder_options *o = &e->options;
    int64_t T = (*rows)->T, whole = (T + e->multiple - 1) / e->multiple * e->multiple;
    if (!e->inputs.numbers && T > e->multiple && whole != T && !(*rows)->doc) {
        text = longer_text(r, text, whole, e->inputs.pad);
        *rows = longer_rows(r, *rows, whole);
    }
    if (mega_run_status(r)) return NULL;
    if (!counts_padding(o)) mega_run_leave_padding(r);
    mega_tensor *x = embed(r, e, text, *rows); /* [B, T, D] */
    if (o->embed_norm) x = mega_norm_run(r, &e->embed_norm, x);
    x = mask_padding(r, mega_dropout_run(r, &e->drop_embed, x, *rows), *rows);
    mega_run_tap(r, "embedded", x);
    struct mega_carry carry = { .x = x };
    for (int64_t i = 0; i < o->layers; i++) {
        struct mega_block block = { e->layer[i].path, 0, e->stack.again[i], layer_block,
            &e->layer[i] };
        mega_run_block(r, &block, &carry, *rows);
        mega_run_tap(r, e->layer[i].path, carry.x);
    }
    if (o->prenorm) carry.x = mega_norm_run(r, &e->final_norm, carry.x);
    return mask_padding(r, carry.x, *rows);
}
