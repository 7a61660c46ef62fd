#include "model/megalodon.h"

#include <math.h>
#include <stdio.h>

#include "graph/ops.h"
#include "layer/left_padding.h"

static mega_status check(const struct mega_megalodon_model_options *o)
{
    if (o->vocabulary < 1 || o->layers < 1 || o->output < 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a Megalodon of vocabulary %lld, output %lld, layers %lld: expected at least 1 (of "
            "the output 0: as the vocabulary)",
            (long long)o->vocabulary, (long long)o->output, (long long)o->layers);
    if (o->share_embedding && o->output && o->output != o->vocabulary)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the output has %lld classes and the vocabulary %lld words: expected the same, as "
            "they share a table",
            (long long)o->output, (long long)o->vocabulary);
    MEGA_TRY(mega_kept_heads_check(o->layer.kept_heads, o->layers));
    MEGA_TRY(mega_kept_check(&mega_kept_channels_words, o->layer.kept_channels, o->layers));
    return mega_megalodon_check(&o->layer);
}

static void build_layers(mega_build *b, struct mega_megalodon *m)
{
    const struct mega_megalodon_model_options *o = &m->options;
    mega_stack_build(b, &m->stack, o->layers, mega_recompute_resolve(o->recompute));
    m->layer = mega_arena_zeroed(&b->store->names, (size_t)o->layers * sizeof *m->layer);
    if (!m->layer && !b->status)
        b->status =
            mega_fail(MEGA_NO_MEMORY, "no memory to declare %lld layers", (long long)o->layers);
    for (int64_t i = 0; i < o->layers && !b->status; i++) {
        struct mega_megalodon_options layer = o->layer;
        layer.layer = i;
        snprintf(m->layer[i].path, sizeof m->layer[i].path, "layers.%lld", (long long)i);
        size_t entered = mega_build_enter(b, "%s", m->layer[i].path);
        mega_megalodon_block_build(b, &m->layer[i].block, &layer);
        mega_build_leave(b, entered);
    }
}

static void build_output(mega_build *b, struct mega_megalodon *m, struct mega_init init)
{
    const struct mega_megalodon_model_options *o = &m->options;
    int64_t classes = o->output ? o->output : o->vocabulary;
    size_t entered = mega_build_enter(b, "output"), inner = mega_build_enter(b, "final_norm");
    mega_timestep_norm_build(b, &m->final_norm,
        &(struct mega_timestep_norm_options){ .width = o->layer.width,
            .groups = o->layer.groups,
            .eps = o->layer.norm_eps,
            .port = o->layer.port });
    mega_build_leave(b, inner);
    m->output = o->share_embedding ? m->table
                                   : mega_param_add(b, "output.weight", init, 2,
                                         (int64_t[]){ classes, o->layer.width });
    mega_build_leave(b, entered);
}

void mega_megalodon_build(
    mega_build *b, struct mega_megalodon *m, const struct mega_megalodon_model_options *o)
{
    *m = (struct mega_megalodon){ .options = *o };
    if (!b->status) b->status = check(o);
    if (b->status) return;
    double spread = 1 / sqrt((double)o->layer.width);
    struct mega_init cut = { MEGA_INIT_TRUNCATED, 3 * spread, spread };
    m->table =
        mega_param_add(b, "embed.weight", cut, 2, (int64_t[]){ o->vocabulary, o->layer.width });
    m->drop_embed = (struct mega_dropout){ "embed", o->layer.dropout, MEGA_DROPOUT_ELEMENTS };
    build_layers(b, m);
    build_output(b, m, cut);
}

static void run_layer(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    c->x = mega_megalodon_block_run(r, self, c->x, rows);
}

mega_tensor *mega_megalodon_features(
    mega_run *r, const struct mega_megalodon *m, mega_tensor *ids, const struct mega_rows *rows)
{
    const struct mega_megalodon_model_options *o = &m->options;
    double factor = o->scale_embedding ? sqrt((double)o->layer.width) : 1;
    if (!o->layer.port) rows = mega_rows_past_padding(r, rows);
    mega_tensor *x = embedding(r, m->table, ids, o->pad, factor);
    struct mega_carry carry = { .x = mega_dropout_run(r, &m->drop_embed, x, rows) };
    for (int64_t i = 0; i < o->layers; i++) {
        struct mega_block block = { m->layer[i].path, 0, m->stack.again[i], run_layer,
            &m->layer[i].block };
        mega_run_block(r, &block, &carry, rows);
    }
    return mega_timestep_norm_run(r, &m->final_norm, carry.x, rows);
}

mega_tensor *mega_megalodon_run(
    mega_run *r, const struct mega_megalodon *m, mega_tensor *ids, const struct mega_rows *rows)
{
    mega_tensor *x = mega_megalodon_features(r, m, ids, rows);
    return linear(r, x, m->output, NULL, MEGA_ACT_LINEAR);
}
