/* Layers with options of their own: the same as options of all where all have them, one layer
 * alone where one has; as a stream; lists of a recipe; what is refused. */
#include "model/layer_options.h"

#include "model/small_transformer.h"

enum { N = B * T * V };

static void logits(
    const char *settings, const char *by_layer, const struct small *from, float *y)
{
    struct small s;
    small_open_with(&s, true, settings, by_layer);
    for (struct mega_param *p = from ? s.store.first : NULL; p; p = p->next) {
        const struct mega_param *f = mega_store_find(&from->store, p->name);
        if (!f || f->count != p->count) fail_msg("%s: no %s", by_layer, p->name);
        memcpy(p->value.data, f->value.data, (size_t)p->count * sizeof(float));
    }
    small_pass(&s, NULL, NULL, 0, T, y);
    small_close(&s);
}

static void all_layers_have_what_the_model_has(void **state)
{
    static const struct {
        const char *base, *model;
    } cases[] = { { "", "rotary=rope" }, { "rotary=rope", "rotary=none" },
        { "rel_pos=alibi", "rel_pos=none" }, { "", "attn_topk=3 attn_fn=topk" },
        { "", "max_attend_past=2" }, { "", "qk_norm=l2 attn_softclamp=3" },
        { "", "attn_gate_values=true attn_on_attn=true" }, { "", "attn_talking_heads=both" },
        { "", "attn_num_mem_kv=2 attn_sink=true" }, { "", "gated=true activation=silu" },
        { "", "norm=rmsnorm norm_eps=1e-3" }, { "", "attention_bias=true up_bias=false" },
        { "", "attn_hybrid=ema attn_hybrid_states=3" },
        { "max_attend_past=5", "max_attend_past=0" } };
    static float model[N], layers[N], base[N];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small s;
        char settings[128], by_layer[128];
        snprintf(settings, sizeof settings, "%s %s", cases[i].base, cases[i].model);
        snprintf(by_layer, sizeof by_layer, "0-: %s", cases[i].model);
        /* the final norm is the model's */
        if (strstr(settings, "norm=rmsnorm"))
            snprintf(settings + strlen(settings), 32, " final_norm=off");
        small_open(&s, true, settings);
        small_pass(&s, NULL, NULL, 0, T, model);
        snprintf(settings, sizeof settings, "%s%s", cases[i].base,
            strstr(by_layer, "norm=rmsnorm") ? " final_norm=off" : "");
        logits(settings, by_layer, &s, layers);
        small_assert_near(by_layer, model, layers);
        small_close(&s);
        logits(settings, NULL, NULL, base);
        if (!memcmp(base, model, sizeof base)) fail_msg("%s changes nothing", by_layer);
    }
}

static bool has(const struct small *s, const char *name)
{
    return mega_store_find(&s->store, name) != NULL;
}

static void one_layer_has_what_is_its_own(void **state)
{
    struct small s;
    (void)state;
    small_open_with(&s, true, "layers=6 gated=true",
        "1-/2: attn_head_scale=true; 0, 2-3: gated=false; 3: gated=true attn_head_scale=false");
    for (int64_t i = 0; i < 6; i++) {
        char scale[64], gate[64];
        snprintf(scale, sizeof scale, "sub.%d.attn.head_scale", (int)(2 * i));
        snprintf(gate, sizeof gate, "sub.%d.ff.gate.weight", (int)(2 * i + 1));
        assert_int_equal(has(&s, scale), i == 1 || i == 5);
        assert_int_equal(has(&s, gate), i != 0 && i != 2);
    }
    small_close(&s);
}

static void a_text_token_by_token_is_the_whole(void **state)
{
    (void)state;
    small_assert_streams("layers=3 rotary=rope rel_pos=alibi",
        "1: rotary=none max_attend_past=3 attn_fn=sigmoid; 2: rel_pos=none attn_num_mem_kv=2 "
        "attn_hybrid=ema");
}

static void a_list_in_place_of_a_value(void **state)
{
    static const char recipe[] =
        "rotary: [rope, rope, none]\ngated: [false, true]\n"
        "by_layer: \"0: dropout=0.5\"\ndropout: [0.1]\nffn: [12, 16]\n";
    struct mega_document d;
    struct mega_transformer_options o;
    (void)state;
    assert_int_equal(mega_yaml_parse(&d, "r.yaml", recipe, sizeof recipe - 1), MEGA_OK);
    if (mega_node_read(&d, d.root, "model", mega_transformer_table, NULL, &o))
        fail_msg("%s", mega_message());
    assert_string_equal(
        o.by_layer, "1: rotary=rope; 2-: rotary=none; 1-: gated=true; 0: dropout=0.5");
    assert_int_equal(o.attention.rotary.kind, MEGA_ROTARY_ROPE);
    assert_false(o.gated);
    for (int i = 0; i < 5; i++) {
        struct mega_transformer_options own = mega_layer_options_at(&o, i);
        assert_int_equal(
            own.attention.rotary.kind, i < 2 ? MEGA_ROTARY_ROPE : MEGA_ROTARY_NONE);
        assert_int_equal(own.gated, i > 0);
        assert_true(fabs(own.dropout - (i ? 0.1 : 0.5)) < 1e-9);
    }
    mega_document_done(&d);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *settings, *by_layer, *message;
    } bad[] = { { "", "rotary=none", "by_layer has 'rotary=none': expected layers, a colon" },
        { "", ": rotary=none", "no layers before a colon" },
        { "", "x: rotary=none", "by_layer has 'x'" },
        { "", "3-1: rotary=none", "by_layer has '3-1'" },
        { "", "0-/0: rotary=none", "by_layer has '0-/0'" },
        { "", "0: rotary", "by_layer has 'rotary'" },
        { "", "0: rotary=maybe", "by_layer: rotary is 'maybe', expected one of" },
        { "", "0: rotari=none", "by_layer: rotari is no option, the nearest is rotary" },
        { "", "0: placement=post", "by_layer: placement is of all layers together" },
        { "", "0: attn_sparse_topk=3", "is of all layers together" },
        { "", "0: rel_pos=alibi", "layers share one rel_pos" },
        { "", "0: rotary=pope", "layers share the phases of rotary pope" },
        { "", "7: attn_topk=0", "by_layer: attn_topk is 0, expected" },
        { "norm=layernorm", "1: norm=dyt norm_affine=true attn_score=l2 qk_norm=l2",
            "attn_score" } };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct small s;
        if (!small_declare_with(&s, true, bad[i].settings, bad[i].by_layer))
            fail_msg("%s was taken", bad[i].by_layer);
        if (!strstr(mega_message(), bad[i].message))
            fail_msg("%s: %s", bad[i].by_layer, mega_message());
        small_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_layers_have_what_the_model_has),
        cmocka_unit_test(one_layer_has_what_is_its_own),
        cmocka_unit_test(a_text_token_by_token_is_the_whole),
        cmocka_unit_test(a_list_in_place_of_a_value),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
