/* How many parameters a preset makes: its model is declared, and given no memory. */
#include <stdio.h>

#include "model/encoder_decoder.h"
#include "model/model.h"
#include "model/presets.h"

static mega_status count_pair(const struct mega_preset *p, int64_t *out)
{
    struct mega_encoder_decoder_options o;
    struct mega_encoder_decoder m;
    struct mega_store store;
    struct mega_arena words;
    MEGA_TRY(mega_arena_init(&words, (size_t)1 << 20));
    mega_status status = mega_store_init(&store);
    mega_encoder_decoder_defaults(&o);
    if (!status) status = mega_encoder_decoder_set(&words, &o, "preset", p->name);
    o.encoder.vocabulary = o.decoder.vocabulary = p->vocabulary;
    mega_build b = { .store = &store, .status = status };
    if (!status) mega_encoder_decoder_build(&b, &m, &o);
    *out = store.numbers;
    mega_store_done(&store);
    mega_arena_done(&words);
    return b.status;
}

static mega_status count_alone(
    const struct mega_preset *p, enum mega_architecture a, int64_t *out)
{
    struct mega_model_config config;
    struct mega_document d;
    mega_model *m = NULL;
    char text[80];
    int n = snprintf(text, sizeof text, "preset: %.60s\n", p->name);
    MEGA_TRY(mega_yaml_parse(&d, p->name, text, (size_t)n));
    mega_status status = mega_model_config_read(&config, a, &d, d.root);
    config.language.vocabulary = config.masked.vocabulary =
        (struct mega_vocabulary){ p->vocabulary, -1 };
    if (!status) status = mega_model_new(&m, &config, false, false);
    *out = status ? 0 : mega_model_parameters(m);
    mega_model_free(m);
    mega_document_done(&d);
    return status;
}

mega_status mega_preset_count(const struct mega_preset *p, int64_t *out)
{
    if (p->of & MEGA_PRESET_PAIR) return count_pair(p, out);
    return count_alone(
        p, p->of & MEGA_PRESET_DECODER ? MEGA_LANGUAGE_MODEL : MEGA_MASKED_MODEL, out);
}
