#include "model/encoder_decoder.h"

#include <stdio.h>
#include <string.h>

#include "format/node.h"
#include "graph/ops.h"
#include "model/presets.h"
#include "model/transformer_options.h"

void mega_encoder_decoder_defaults(struct mega_encoder_decoder_options *o)
{
    *o = (struct mega_encoder_decoder_options){ 0 };
    mega_option_defaults(mega_transformer_table, &o->encoder);
    mega_option_defaults(mega_transformer_table, &o->decoder);
}

/* all that a preset fills, on both sides */
static mega_status set_preset(
    struct mega_arena *arena, struct mega_encoder_decoder_options *o, const char *name)
{
    const struct mega_preset *p = mega_preset_find(name);
    char key[64], value[64];
    int used;
    if (!p || !(p->of & MEGA_PRESET_PAIR))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "preset is '%s': no model that reads one text and "
            "writes another (mega help presets)",
            name);
    struct mega_preset_lists filled = mega_preset_settings(p, MEGA_PRESET_PAIR, "", true);
    for (const char *const *list = filled.list; *list; list++)
        for (const char *at = *list; sscanf(at, " %63[^= ]=%63s%n", key, value, &used) == 2;
             at += used)
            MEGA_TRY(mega_encoder_decoder_set(arena, o, key, value));
    return MEGA_OK;
}

mega_status mega_encoder_decoder_set(struct mega_arena *arena,
    struct mega_encoder_decoder_options *o, const char *name, const char *value)
{
    bool encoder = !strncmp(name, "enc_", 4), decoder = !strncmp(name, "dec_", 4);
    if (!strcmp(name, "preset")) return set_preset(arena, o, value);
    if (!strcmp(name, "tie_enc_dec_embedding") || !strcmp(name, "tie_token_emb")) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return mega_fail(
                MEGA_BAD_ARGUMENT, "%s is '%s', expected true or false", name, value);
        o->tied = *value == 't';
        return MEGA_OK;
    }
    if (encoder || decoder)
        return mega_option_assign(arena, mega_transformer_table, name + 4, value,
            encoder ? &o->encoder : &o->decoder);
    MEGA_TRY(mega_option_assign(arena, mega_transformer_table, name, value, &o->encoder));
    return mega_option_assign(arena, mega_transformer_table, name, value, &o->decoder);
}

static mega_status check(const struct mega_encoder_decoder_options *o)
{
    const struct mega_transformer_options *e = &o->encoder, *d = &o->decoder;
    if (e->plan.cross_attend || e->plan.only_cross)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s of the encoder: it has no context to attend to, the decoder has",
            e->plan.cross_attend ? "cross_attend" : "only_cross");
    int64_t width[] = { e->embedding.width ? e->embedding.width : e->width,
        d->embedding.width ? d->embedding.width : d->width };
    if (o->tied && (e->vocabulary != d->vocabulary || width[0] != width[1]))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "tie_enc_dec_embedding: the encoder's table is [%lld, %lld], the decoder's "
            "[%lld, %lld]: expected the same",
            (long long)e->vocabulary, (long long)width[0], (long long)d->vocabulary,
            (long long)width[1]);
    return MEGA_OK;
}

void mega_encoder_decoder_build(mega_build *b, struct mega_encoder_decoder *m,
    const struct mega_encoder_decoder_options *options)
{
    struct mega_encoder_decoder_options o = *options;
    if (!b->status) b->status = check(&o);
    if (b->status) return;
    o.encoder.causal = false;
    o.encoder.headless = true;
    o.encoder.other_layers = o.decoder.plan.layers;
    o.decoder.causal = true;
    o.decoder.other_layers = o.encoder.plan.layers;
    o.decoder.context_width = o.encoder.width;
    o.decoder.attention.context_places = o.context_places;
    if (!o.decoder.plan.only_cross && !strchr(o.decoder.plan.layer_types, 'c'))
        o.decoder.plan.cross_attend = true;
    size_t entered = mega_build_enter(b, "encoder");
    mega_transformer_build(b, &m->encoder, &o.encoder);
    mega_build_leave(b, entered);
    if (o.tied) o.decoder.table = m->encoder.embedding.table;
    entered = mega_build_enter(b, "decoder");
    mega_transformer_build(b, &m->decoder, &o.decoder);
    mega_build_leave(b, entered);
}

mega_tensor *mega_encoder_decoder_context(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    mega_tensor *x = mega_transformer_features(r, &m->encoder, ids, rows);
    return x ? mask_padding(r, x, rows) : NULL;
}

mega_tensor *mega_encoder_decoder_features(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows, mega_tensor *context,
    const struct mega_rows *context_rows)
{
    struct mega_transformer_inputs in = {
        .ids = ids, .context = context, .context_rows = context_rows
    };
    return mega_transformer_features_of(r, &m->decoder, &in, rows, NULL);
}

mega_tensor *mega_encoder_decoder_run(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows, mega_tensor *context,
    const struct mega_rows *context_rows)
{
    mega_tensor *x = mega_encoder_decoder_features(r, m, ids, rows, context, context_rows);
    return x ? mega_transformer_head_run(r, &m->decoder.head, x) : NULL;
}
