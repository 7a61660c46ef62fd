/* Presets: their keys are the Transformer's, what they make has the published number of
 * parameters, and what a recipe writes stands above them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_all.h"

#include "model/encoder_decoder.h"
#include "model/model.h"
#include "model/presets.h"
#include "model/transformer_options.h"

static void must(mega_status status)
{
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static bool is_known(const char *name)
{
    return mega_option_find(mega_transformer_table, name) ||
           mega_option_find(mega_masked_model_options, name) ||
           !strcmp(name, "tie_enc_dec_embedding");
}

static void every_setting_is_a_key_and_a_value_of_it(void **state)
{
    struct mega_transformer_options o;
    struct mega_arena words;
    (void)state;
    must(mega_arena_init(&words, (size_t)1 << 20));
    for (const struct mega_preset *p = mega_presets; p->name; p++) {
        const char *const lists[] = { p->sizes, p->choices, p->head, p->ends };
        char name[64], value[64];
        assert_true(!*p->base || mega_preset_find(p->base));
        for (int i = 0, n; i < 4; i++)
            for (const char *at = lists[i];
                 sscanf(at, " %63[^= ]=%63s%n", name, value, &n) == 2; at += n) {
                if (!is_known(name)) fail_msg("%s: there is no key %s", p->name, name);
                if (mega_option_find(mega_transformer_table, name))
                    must(mega_option_assign(&words, mega_transformer_table, name, value, &o));
            }
    }
    mega_arena_done(&words);
}

/* as the authors' files have them; of bert without the pooler and with the masked head */
static const struct {
    const char *name;
    int64_t parameters;
} published[] = {
    { "llama2", 6738415616 },
    { "llama2_13b", 13015864320 },
    { "llama2_70b", 68976648192 },
    { "mistral", 7241732096 },
    { "gemma2", 2614341888 },
    { "gemma2_9b", 9241705984 },
    { "gemma2_27b", 27227128320 },
    { "gpt2", 124439808 },
    { "gpt2_medium", 354823168 },
    { "gpt2_large", 774030080 },
    { "gpt2_xl", 1557611200 },
    { "bert", 109514298 },
    { "t5", 60506624 },
    { "t5_base", 222903552 },
    { "t5_large", 737668096 },
};

static void a_preset_has_as_many_parameters_as_its_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct mega_preset *p = mega_preset_find(published[i].name);
        int64_t n;
        assert_non_null(p);
        must(mega_preset_count(p, &n));
        if (n != published[i].parameters)
            fail_msg("%s has %lld parameters, expected %lld", p->name, (long long)n,
                (long long)published[i].parameters);
    }
}

struct read {
    struct mega_document d;
    struct mega_model_config config;
};

static mega_status read(struct read *r, enum mega_architecture a, const char *text)
{
    must(mega_yaml_parse(&r->d, "recipe.yaml", text, strlen(text)));
    return mega_model_config_read(&r->config, a, &r->d, r->d.root);
}

static int64_t count(struct read *r, int64_t vocabulary)
{
    mega_model *m;
    r->config.language.vocabulary = r->config.masked.vocabulary =
        (struct mega_vocabulary){ vocabulary, -1 };
    must(mega_model_new(&m, &r->config, false, false));
    int64_t n = mega_model_parameters(m);
    mega_model_free(m);
    mega_document_done(&r->d);
    return n;
}

static void bert_has_the_ends_that_are_asked_for(void **state)
{
    struct read r;
    (void)state;
    /* the encoder with its pooler; with the masked head, too, and the next sentence */
    must(read(&r, MEGA_MASKED_MODEL, "preset: bert\npooler: true\nmasked_head: false\n"));
    assert_int_equal(count(&r, 30522), 109482240);
    must(read(&r, MEGA_MASKED_MODEL, "preset: bert\npooler: true\nnext_sentence: true\n"));
    assert_int_equal(count(&r, 30522), 110106428);
    must(read(&r, MEGA_MASKED_MODEL, "preset: bert_large\npooler: true\nmasked_head: false\n"));
    assert_int_equal(count(&r, 30522), 335141888);
}

static const struct mega_transformer_options *options(const struct read *r)
{
    assert_string_equal(mega_decoders[r->config.language.decoder]->name, "transformer");
    return (const void *)r->config.language.options;
}

static void what_is_written_stands_above_the_preset(void **state)
{
    struct read r;
    (void)state;
    must(read(&r, MEGA_LANGUAGE_MODEL,
        "tied: true\npreset: llama2\nlayers: 2\nwidth: 64\nheads: 4\nffn: 96\n"));
    const struct mega_transformer_options *o = options(&r);
    assert_int_equal(o->plan.layers, 2);
    assert_int_equal(o->width, 64);
    assert_int_equal(o->ffn.each, 96);
    assert_true(o->tied);
    /* the rest is Llama's */
    assert_true(o->gated);
    assert_int_equal(o->norm, MEGA_RMSNORM);
    assert_int_equal(o->attention.rotary.kind, MEGA_ROTARY_ROPE);
    assert_int_equal(o->longest, 4096);
    mega_document_done(&r.d);
    /* another word for a key that the preset sets */
    must(read(&r, MEGA_LANGUAGE_MODEL,
        "preset: llama2\nuse_scalenorm: true\nattn_one_kv_head: true\n"));
    o = options(&r);
    assert_int_equal(o->norm, MEGA_SCALENORM);
    assert_int_equal(o->kv_heads.each, 1);
    mega_document_done(&r.d);
}

static void a_preset_may_go_on_from_another(void **state)
{
    struct read r;
    (void)state;
    must(read(&r, MEGA_LANGUAGE_MODEL, "preset: mistral\n"));
    const struct mega_transformer_options *o = options(&r);
    assert_int_equal(o->attention.score.past, 4095);
    assert_int_equal(o->kv_heads.each, 8);
    assert_int_equal(o->width, 4096);
    assert_true(o->gated);
    mega_document_done(&r.d);
    /* windows of every other layer */
    must(read(&r, MEGA_LANGUAGE_MODEL, "preset: gemma2_27b\n"));
    o = options(&r);
    assert_int_equal(mega_transformer_attention(o, 0, false).score.past, 4095);
    assert_int_equal(mega_transformer_attention(o, 1, false).score.past, 0);
    assert_int_equal(mega_transformer_attention(o, 2, false).score.past, 4095);
    assert_true(mega_transformer_attention(o, 0, false).scale > 1.0 / 12.01);
    assert_true(mega_transformer_attention(o, 0, false).scale < 1.0 / 11.99);
    mega_document_done(&r.d);
}

static void a_classifier_takes_an_encoder(void **state)
{
    struct read r;
    (void)state;
    must(read(&r, MEGA_CLASSIFIER, "preset: bert\nlayers: 2\n"));
    assert_int_equal(r.config.encoder_kind, MEGA_ENCODER_TRANSFORMER);
    assert_int_equal(r.config.transformer.plan.layers, 2);
    assert_int_equal(r.config.transformer.width, 768);
    assert_int_equal(r.config.transformer.placement, MEGA_PLACEMENT_POST);
    mega_document_done(&r.d);
}

static void what_does_not_go_together_is_refused(void **state)
{
    static const struct {
        enum mega_architecture a;
        const char *text, *message;
    } bad[] = {
        { MEGA_LANGUAGE_MODEL, "preset: bert\n",
            "recipe.yaml:1:1: model.preset: bert is an encoder: expected task masked_lm" },
        { MEGA_LANGUAGE_MODEL, "preset: t5\n", "no task trains such a pair yet" },
        { MEGA_MASKED_MODEL, "preset: gpt2\n", "gpt2 is a decoder: expected task lm" },
        { MEGA_LANGUAGE_MODEL, "preset: llama2\ndecoder: llama\n",
            "recipe.yaml:2:1: model.decoder is llama, but model.preset llama2 fills" },
        { MEGA_CLASSIFIER, "preset: bert\nencoder: mixer\n", "model.encoder is mixer" },
        { MEGA_LANGUAGE_MODEL, "preset: lama\n", "model.preset is 'lama', expected one of" },
        { MEGA_LANGUAGE_MODEL, "preset: [gpt2]\n", "model.preset is a list" },
        { MEGA_LANGUAGE_MODEL,
            "preset: mistral\nmax_attend_past: 0\n"
            "max_attend_full_every: 2\n",
            "max_attend_full_every does not go with max_attend_past 0" },
    };
    struct read r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read(&r, bad[i].a, bad[i].text), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), bad[i].message))
            fail_msg("%s says: %s; expected: %s", bad[i].text, mega_message(), bad[i].message);
        mega_document_done(&r.d);
    }
}

static void a_pair_takes_a_preset_and_what_comes_after_it(void **state)
{
    struct mega_encoder_decoder_options o;
    struct mega_arena words;
    (void)state;
    must(mega_arena_init(&words, (size_t)1 << 20));
    mega_encoder_decoder_defaults(&o);
    must(mega_encoder_decoder_set(&words, &o, "preset", "t5"));
    must(mega_encoder_decoder_set(&words, &o, "enc_layers", "3"));
    assert_int_equal(o.encoder.plan.layers, 3);
    assert_int_equal(o.decoder.plan.layers, 6);
    assert_true(o.tied && o.decoder.tied);
    assert_int_equal(o.encoder.attention.position.kind, o.decoder.attention.position.kind);
    assert_int_equal(mega_encoder_decoder_set(&words, &o, "preset", "gpt2"), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "preset is 'gpt2'"));
    mega_arena_done(&words);
}

static double spread(const mega_model *m, const char *name)
{
    const struct mega_param *p = mega_store_find(&m->store, name);
    assert_non_null(p);
    return p->init.b;
}

static void branches_of_gpt2_begin_smaller(void **state)
{
    struct read r;
    mega_model *m;
    (void)state;
    must(read(&r, MEGA_LANGUAGE_MODEL, "preset: gpt2\nlayers: 8\n"));
    r.config.language.vocabulary = (struct mega_vocabulary){ 10, -1 };
    must(mega_model_new(&m, &r.config, false, false));
    /* 0.02 / sqrt(2 * 8) */
    assert_true(fabs(spread(m, "sub.0.attn.o.weight") - 0.005) < 1e-12);
    assert_true(fabs(spread(m, "sub.15.ff.down.weight") - 0.005) < 1e-12);
    assert_true(fabs(spread(m, "sub.0.attn.q.weight") - 0.02) < 1e-12);
    assert_true(fabs(spread(m, "sub.1.ff.up.weight") - 0.02) < 1e-12);
    mega_model_free(m);
    mega_document_done(&r.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_is_a_key_and_a_value_of_it),
        cmocka_unit_test(a_preset_has_as_many_parameters_as_its_model),
        cmocka_unit_test(bert_has_the_ends_that_are_asked_for),
        cmocka_unit_test(what_is_written_stands_above_the_preset),
        cmocka_unit_test(a_preset_may_go_on_from_another),
        cmocka_unit_test(a_classifier_takes_an_encoder),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(branches_of_gpt2_begin_smaller),
        cmocka_unit_test(a_pair_takes_a_preset_and_what_comes_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
