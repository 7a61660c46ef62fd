/* Heads of models: a model without the closed heads computes what the gated model computes,
 * whole and as a stream; original numbers stay; what cannot be is refused by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/from_json.h"
#include "model/heads.h"
#include "model/trial.h"

static mega_model *make(const char *json)
{
    mega_model *m = model_from_json(json, true);
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (int64_t i = 0; i < m->store.count; i++)
        m->store.value[i] = 0.4f * (float)mega_rng_normal(&g);
    return m;
}

#define DECODER(more)                                                                          \
    "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "         \
    "\"transformer\", \"layers\": 3, \"width\": 12, \"ffn\": 10, \"heads\": 6, \"kv_heads\": " \
    "3, \"keys\": 4, \"values\": 3, \"longest\": 16, \"rotary_dims\": 4, "                     \
    "\"attention_bias\": true" more " }, \"inputs\": { \"vocabulary\": 11, \"pad\": -1 } }"
#define CLASSIFIER(more)                                                                       \
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"mixer\": "               \
    "\"attention\", "                                                                          \
    "\"layers\": 3, \"width\": 12, \"ffn\": 10, \"heads\": 6, \"kv_heads\": 3, \"longest\": "  \
    "16, \"attention_bias\": true" more                                                        \
    " }, \"inputs\": { \"vocabulary\": 11 }, \"labels\": [\"a\", \"b\"] }"

#define TRANSFORMER(more)                                                                      \
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"encoder\": "             \
    "\"transformer\", \"layers\": 3, \"width\": 12, \"ffn\": 10, \"heads\": 6, \"kv_heads\": " \
    "3, \"longest\": 16, \"attention_bias\": true" more                                        \
    " }, \"inputs\": { \"vocabulary\": 11 }, \"labels\": [\"a\", \"b\"] }"

#define MASKED(more)                                                                           \
    "{ \"megac\": 1, \"architecture\": \"masked_language_model\", \"model\": { \"layers\": "   \
    "3, "                                                                                      \
    "\"width\": 12, \"ffn\": 10, \"heads\": 6, \"kv_heads\": 3, \"longest\": 16, "             \
    "\"type_emb\": 2, "                                                                        \
    "\"post_emb_norm\": true, \"positions\": \"learned\", \"attention_bias\": true" more       \
    " }, \"inputs\": { \"vocabulary\": 11, \"pad\": 0 } }"

/* fixed gates of every head, by layer */
static void set_gates(const mega_model *m, const double *gate)
{
    struct mega_model_heads h;
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    for (int64_t l = 0; l < h.layers; l++)
        for (int64_t k = 0; k < h.most; k++)
            mega_put(h.layer[l].attention->gates.open, 0, k, gate[l * h.most + k]);
    mega_model_heads_done(&h);
}

static void as_kept(const double *gate, struct mega_text *to)
{
    for (int l = 0; l < 3; l++) {
        bool kept[6];
        for (int k = 0; k < 6; k++) kept[k] = gate[l * 6 + k] > 0;
        mega_kept_heads_print(to, 6, kept);
    }
}

static void check_pattern(struct trial *t, const char *json, const double *gate, double by)
{
    static float gated[4096], sliced[4096], pieces[4096];
    mega_model *m = make(json), *small;
    struct mega_text kept = { 0 };
    set_gates(m, gate);
    as_kept(gate, &kept);
    struct mega_model_heads_change change = { .kept = kept.data, .fold = true };
    if (mega_model_heads_change(&small, m, &change)) fail_msg("%s", mega_message());
    int64_t n = run(t, m, NULL, 0, T, gated);
    assert_int_equal(run(t, small, NULL, 0, T, sliced), n);
    double d = apart(gated, sliced, n);
    if (!(d <= by)) fail_msg("kept %s: %g apart, expected %g at most", kept.data, d, by);
    if (m->config.architecture == MEGA_LANGUAGE_MODEL) {
        /* token by token the same */
        mega_stream *s;
        int64_t D = n / (B * T);
        t->len[1] = T;
        run(t, small, NULL, 0, T, sliced);
        assert_int_equal(mega_stream_new(&s, &small->store, B, 1, T), MEGA_OK);
        for (int64_t i = 0; i < T; i++) {
            float step[B * 16];
            run(t, small, s, i, 1, step);
            for (int64_t b = 0; b < B; b++)
                memcpy(pieces + (b * T + i) * D, step + b * D, (size_t)D * sizeof *step);
        }
        d = apart(sliced, pieces, n);
        if (!(d <= 2e-6)) fail_msg("kept %s: a stream is %g apart", kept.data, d);
        mega_stream_free(s);
        t->len[1] = T - 2;
    }
    mega_text_done(&kept);
    mega_model_free(small);
    mega_model_free(m);
}

static void a_sliced_model_computes_what_the_gated_one_does(void **state)
{
    (void)state;
    static const double patterns[][18] = {
        { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
        /* groups with two, one and no head */
        { 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0 },
        /* layers without any */
        { 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
        /* gates that are folded */
        { 0.3, 1, 0, 0.7, 1, 0, 0, 0, 0.5, 0, 0, 0, 1, 1, 0.1, 1, 1, 1.5 },
    };
    struct trial t;
    open(&t);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        check_pattern(&t, DECODER(", \"head_gates\": \"fixed\""), patterns[i], 1e-6);
        check_pattern(&t, DECODER(", \"head_gates\": \"fixed\", \"placement\": \"post\""),
            patterns[i], 1e-6);
        check_pattern(&t, CLASSIFIER(", \"head_gates\": \"fixed\", \"prenorm\": true"),
            patterns[i], 1e-6);
        check_pattern(&t, CLASSIFIER(", \"head_gates\": \"fixed\""), patterns[i], 1e-6);
        check_pattern(&t, TRANSFORMER(", \"head_gates\": \"fixed\", \"pooling\": \"class\""),
            patterns[i], 1e-6);
        check_pattern(&t, MASKED(", \"head_gates\": \"fixed\", \"placement\": \"post\""),
            patterns[i], 1e-6);
        check_pattern(&t, MASKED(", \"head_gates\": \"fixed\""), patterns[i], 1e-6);
    }
    done(&t);
}

static void without_heads_a_layer_adds_its_bias(void **state)
{
    (void)state;
    mega_model *m = make(DECODER(", \"kept_heads\": \"all; -; 5\""));
    struct mega_model_heads h;
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    const struct mega_attention *a = h.layer[1].attention;
    assert_int_equal(a->kept.heads, 0);
    assert_null(a->q);
    assert_null(a->score.past_keys);
    assert_non_null(a->o_bias);
    assert_null(mega_store_find(&m->store, "sub.2.norm_pre.weight"));
    assert_int_equal(h.layer[2].attention->kept.number[0], 5);
    assert_int_equal(h.layer[2].attention->kept.group_number[0], 2);
    /* d(b_o) is the gradient of the stream: it trains */
    struct trial t;
    open(&t);
    int32_t next[B * T] = { 0 };
    struct mega_batch b = { .n = B };
    b.rows[0] = (struct mega_rows){ .B = B, .T = T };
    b.text[0] = mega_tensor_over(t.id, MEGA_I32, 2, (int64_t[]){ B, T });
    b.target = mega_tensor_over(next, MEGA_I32, 1, (int64_t[]){ B * T });
    mega_run_begin(t.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_run_seed(t.run, mega_batch_loss(t.run, m, &b), 1);
    mega_run_backward(t.run);
    assert_int_equal(mega_run_end(t.run), MEGA_OK);
    double sum = 0;
    for (int64_t i = 0; i < 12; i++) sum += fabs(mega_get(&a->o_bias->param->gradient, 0, i));
    assert_true(sum > 0 && isfinite(sum));
    done(&t);
    mega_model_heads_done(&h);
    mega_model_free(m);
}

static void removing_twice_is_removing_at_once(void **state)
{
    (void)state;
    mega_model *m = make(DECODER("")), *one, *two, *both;
    struct mega_model_heads_change c = { .kept = "all; 0 2-5; all" };
    assert_int_equal(mega_model_heads_change(&one, m, &c), MEGA_OK);
    c.kept = "all; 0 3-5; all";
    assert_int_equal(mega_model_heads_change(&two, one, &c), MEGA_OK);
    assert_int_equal(mega_model_heads_change(&both, m, &c), MEGA_OK);
    assert_true(mega_store_hash(&two->store) == mega_store_hash(&both->store));
    c.kept = "all; 0 2-5; all";
    mega_model *again;
    assert_int_equal(mega_model_heads_change(&again, two, &c), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "layer 1 has no head 2 any more: it was removed"));
    mega_model_free(one);
    mega_model_free(two);
    mega_model_free(both);
    mega_model_free(m);
}

static void what_is_no_list_of_heads_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *list, *says;
    } bad[] = {
        { "all; all", "layer 2 is missing" },
        { "all; 0 6; all", "names a head that there never was" },
        { "all; 2 1; all", "names heads that do not rise" },
        { "all; one; all", "is no list of heads" },
        { "all; 3-1; all", "is no list of heads" },
        { "all; ; all", "is empty" },
        { "all; 99999999999999999999; all", "" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bool kept[6];
        mega_status status = MEGA_OK;
        for (int64_t l = 0; l < 3 && !status; l++)
            status = mega_kept_heads_read(bad[i].list, l, 6, kept);
        assert_int_equal(status, MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), bad[i].says)) fail_msg("said: %s", mega_message());
    }
    assert_int_equal(mega_kept_heads_check("all; all", 3), MEGA_BAD_ARGUMENT);
    assert_int_equal(mega_kept_heads_check("", 3), MEGA_OK);
    bool kept[6];
    struct mega_text text = { 0 };
    assert_int_equal(mega_kept_heads_read("0, 2-4", 0, 6, kept), MEGA_OK);
    mega_kept_heads_print(&text, 6, kept);
    mega_kept_heads_print(&text, 6, (bool[6]){ false });
    mega_kept_heads_print(&text, 6, (bool[6]){ true, true, false, true, true, true });
    assert_string_equal(text.data, "0 2-4; -; 0 1 3-5");
    mega_text_done(&text);
}

static void models_without_heads_are_told(void **state)
{
    (void)state;
    mega_model *m = make("{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { "
                         "\"decoder\": \"mega\", \"layers\": 1, \"width\": 8, \"ffn\": 8, "
                         "\"values\": 8, \"keys\": 4 }, "
                         "\"inputs\": { \"vocabulary\": 11, \"pad\": -1 } }");
    struct mega_model_heads h;
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "has no attention heads to be told apart"));
    mega_model_free(m);
}

/* noise is one draw for the whole update: like texts have like outputs */
static void texts_of_an_update_share_gates(void **state)
{
    (void)state;
    static float out[4096];
    mega_model *m = make(DECODER(", \"head_gates\": \"concrete\""));
    struct trial t;
    open(&t);
    memcpy(t.id + T, t.id, T * sizeof *t.id);
    struct mega_batch b = { .n = B };
    b.rows[0] = (struct mega_rows){ .B = B, .T = T };
    b.text[0] = mega_tensor_over(t.id, MEGA_I32, 2, (int64_t[]){ B, T });
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    mega_run_begin(t.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .now = { 1, 2 } });
    mega_batch_enter(t.run, m, &b, text, rows);
    mega_tensor *x = mega_language_model_features(t.run, &m->language, text[0], rows[0]);
    mega_run_read(t.run, x, out);
    int64_t n = mega_count(x) / B;
    assert_int_equal(mega_run_end(t.run), MEGA_OK);
    assert_memory_equal(out, out + n, (size_t)n * sizeof *out);
    done(&t);
    mega_model_free(m);
}

/* gates far beyond their ends are exactly 0 and 1 in evaluation, every time */
static void saturated_gates_are_fixed_ones(void **state)
{
    (void)state;
    static const double open_or_not[18] = { 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1,
        1 };
    static float concrete[4096], again[4096], fixed[4096];
    mega_model *m = make(DECODER(", \"head_gates\": \"concrete\"")),
               *given = make(DECODER(", \"head_gates\": \"fixed\""));
    struct mega_model_heads h;
    struct trial t;
    open(&t);
    /* the same parameters, gates aside */
    assert_int_equal(mega_model_take(given, m), MEGA_OK);
    set_gates(given, open_or_not);
    assert_int_equal(mega_model_heads_find(&h, m), MEGA_OK);
    for (int64_t l = 0; l < h.layers; l++)
        for (int64_t k = 0; k < h.most; k++)
            mega_put(h.layer[l].attention->gates.log_a, k, 0,
                open_or_not[l * h.most + k] > 0 ? 3 : -3);
    mega_model_heads_done(&h);
    int64_t n = run(&t, m, NULL, 0, T, concrete);
    run(&t, m, NULL, 0, T, again);
    assert_memory_equal(concrete, again, (size_t)n * sizeof *again);
    run(&t, given, NULL, 0, T, fixed);
    assert_memory_equal(concrete, fixed, (size_t)n * sizeof *fixed);
    done(&t);
    mega_model_free(given);
    mega_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sliced_model_computes_what_the_gated_one_does),
        cmocka_unit_test(without_heads_a_layer_adds_its_bias),
        cmocka_unit_test(removing_twice_is_removing_at_once),
        cmocka_unit_test(what_is_no_list_of_heads_is_refused),
        cmocka_unit_test(models_without_heads_are_told),
        cmocka_unit_test(texts_of_an_update_share_gates),
        cmocka_unit_test(saturated_gates_are_fixed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
