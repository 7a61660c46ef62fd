/* Units other than a Transformer's query heads: a model without the closed ones computes what
 * the gated model computes, whole and as a stream; what cannot be is refused by name; what each
 * costs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/from_json.h"
#include "model/heads.h"
#include "model/trial.h"
#include "model/units.h"

#define LM(decoder, more)                                                                      \
    "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "         \
    "\"" decoder "\", \"layers\": 3, \"width\": 12, " more                                     \
    " }, \"inputs\": { \"vocabulary\": 11, \"pad\": -1 } }"
#define MEGALODON(more)                                                                        \
    LM("megalodon", "\"keys\": 12, \"values\": 9, \"heads\": 3, \"ffn\": 10, \"ema\": 3, "     \
                    "\"chunk\": 4, \"groups\": 2, " more)
#define MEGA(more) LM("mega", "\"keys\": 6, \"values\": 10, \"ffn\": 10, \"ema\": 3, " more)
#define TRANSFORMER(more)                                                                      \
    LM("transformer", "\"heads\": 6, \"kv_heads\": 3, \"keys\": 4, \"values\": 3, \"ffn\": "   \
                      "12, \"longest\": 16, \"rotary_dims\": 4, \"attention_bias\": true, "    \
                      "\"channel_block\": 4, " more)
#define HEADS(kv, more)                                                                        \
    LM("transformer", "\"heads\": 6, \"kv_heads\": " kv ", \"keys\": 4, \"values\": 3, "       \
                      "\"ffn\": 12, \"longest\": 16, \"attention_bias\": true, "               \
                      "\"head_gates\": \"concrete\", " more)
#define CLASSIFIER(more)                                                                       \
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"mixer\": \"mega\", "     \
    "\"layers\": 3, \"width\": 12, \"ffn\": 10, \"longest\": 16, \"keys\": 6, \"values\": "    \
    "10, " more " }, \"inputs\": { \"vocabulary\": 11 }, \"labels\": [\"a\", \"b\"] }"
#define ENCODER(more)                                                                          \
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"encoder\": "             \
    "\"transformer\", \"layers\": 3, \"width\": 12, \"ffn\": 12, \"heads\": 6, \"kv_heads\": " \
    "3, \"longest\": 16, \"positions\": \"learned\", \"channel_block\": 4, " more              \
    " }, \"inputs\": { \"vocabulary\": 11 }, \"labels\": [\"a\", \"b\"] }"

static mega_model *make(const char *json)
{
    mega_model *m = model_from_json(json, true);
    struct mega_rng g;
    mega_store_fill(&m->store, 1);
    mega_rng_start(&g, 3, 4);
    for (int64_t i = 0; i < m->store.count; i++)
        m->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    return m;
}

/* gates closed, open and between; by chance, or all closed */
static void set_gates(const mega_model *m, int pattern)
{
    static const double a[] = { -6, 6, 0.4, -3, -1 };
    struct mega_model_units u;
    struct mega_rng g;
    mega_rng_start(&g, (uint64_t)pattern, 7);
    assert_int_equal(mega_model_units_find(&u, m), MEGA_OK);
    assert_true(u.n > 0);
    for (int64_t i = 0; i < u.n; i++)
        for (int64_t k = 0; k < u.set[i].gates->heads; k++)
            mega_put(u.set[i].gates->log_a, k, 0, pattern ? a[mega_rng_below(&g, 5)] : -6);
    mega_model_units_done(&u);
}

static void lists(const mega_model *m, struct mega_text *heads, struct mega_text *channels)
{
    struct mega_model_heads h;
    const struct mega_mlp *f;
    assert_int_equal(mega_model_heads_list(&h, m), MEGA_OK);
    for (int64_t l = 0; l < h.layers; l++) {
        bool kept[16] = { false };
        for (int64_t k = 0; k < h.layer[l].heads; k++)
            kept[k] = mega_model_head_gate(&h.layer[l], k) > 0;
        mega_kept_heads_print(heads, h.layer[l].heads, kept);
    }
    for (int64_t l = 0; (f = mega_model_mlp(m, l)) != NULL && f->kept.number; l++) {
        bool kept[16] = { false };
        for (int64_t k = 0; k < f->kept.heads; k++)
            kept[k] = mega_head_gates_value(&f->gates, k) > 0;
        mega_kept_heads_print(channels, f->kept.heads, kept);
    }
    mega_model_heads_done(&h);
}

/* token by token as the whole */
static void check_stream(struct trial *t, const mega_model *m, const char *kept)
{
    static float whole[4096], pieces[4096];
    mega_stream *s;
    t->len[1] = T;
    int64_t n = run(t, m, NULL, 0, T, whole), D = n / (B * T);
    assert_int_equal(mega_stream_new(&s, &m->store, B, 1, T), MEGA_OK);
    for (int64_t i = 0; i < T; i++) {
        float step[B * 16];
        run(t, m, s, i, 1, step);
        for (int64_t b = 0; b < B; b++)
            memcpy(pieces + (b * T + i) * D, step + b * D, (size_t)D * sizeof *step);
    }
    double d = apart(whole, pieces, n);
    if (!(d <= 2e-6)) fail_msg("kept %s: a stream is %g apart", kept, d);
    mega_stream_free(s);
    t->len[1] = T - 2;
}

static void check_pattern(struct trial *t, const char *json, int pattern)
{
    static float gated[4096], sliced[4096];
    mega_model *m = make(json), *small;
    struct mega_text heads = { 0 }, channels = { 0 };
    set_gates(m, pattern);
    lists(m, &heads, &channels);
    struct mega_model_heads_change change = {
        .kept = heads.data, .channels = channels.data, .fold = true
    };
    if (mega_model_heads_change(&small, m, &change)) fail_msg("%s: %s", json, mega_message());
    struct mega_model_units u;
    assert_int_equal(mega_model_units_find(&u, small), MEGA_OK);
    assert_int_equal(u.n, 0);
    mega_model_units_done(&u);
    assert_true(small->store.numbers < m->store.numbers);
    int64_t n = run(t, m, NULL, 0, T, gated);
    assert_int_equal(run(t, small, NULL, 0, T, sliced), n);
    double d = apart(gated, sliced, n);
    if (!(d <= 1e-6)) fail_msg("%s: kept %s: %g apart", json, heads.data, d);
    if (m->config.architecture == MEGA_LANGUAGE_MODEL) check_stream(t, small, heads.data);
    mega_text_done(&heads);
    mega_text_done(&channels);
    mega_model_free(small);
    mega_model_free(m);
}

static const char *const gated_models[] = {
    MEGALODON("\"head_gates\": \"concrete\""),
    MEGALODON("\"head_gates\": \"concrete\", \"port\": true"),
    MEGALODON("\"branch_gates\": \"concrete\", \"rescale\": true"),
    MEGALODON("\"branch_gates\": \"concrete\", \"port\": true"),
    MEGA("\"chunk\": 4, \"branch_gates\": \"concrete\""),
    MEGA("\"chunk\": -1, \"longest\": 16, \"bias\": \"simple\", \"prenorm\": false, "
         "\"branch_gates\": \"concrete\""),
    CLASSIFIER("\"chunk\": 4, \"branch_gates\": \"concrete\""),
    CLASSIFIER("\"bias\": \"rotary\", \"prenorm\": true, \"branch_gates\": \"concrete\""),
    MEGALODON("\"channel_gates\": \"concrete\", \"channel_block\": 2"),
    MEGALODON("\"channel_gates\": \"concrete\", \"channel_block\": 5, \"swiglu\": false, "
              "\"port\": true, \"head_gates\": \"concrete\""),
    MEGA("\"chunk\": 4, \"branch_gates\": \"concrete\", \"channel_gates\": \"concrete\", "
         "\"channel_block\": 5"),
    ENCODER("\"head_gates\": \"concrete\", \"group_gates\": \"concrete\", \"channel_gates\": "
            "\"concrete\""),
    TRANSFORMER("\"group_gates\": \"concrete\""),
    TRANSFORMER("\"group_gates\": \"concrete\", \"head_gates\": \"concrete\", \"norm\": "
                "\"rmsnorm\""),
    TRANSFORMER("\"channel_gates\": \"concrete\""),
    TRANSFORMER("\"channel_gates\": \"concrete\", \"gated\": true, \"activation\": \"silu\", "
                "\"ff_glu_mult_bias\": true, \"down_bias\": false"),
    TRANSFORMER("\"channel_gates\": \"concrete\", \"placement\": \"post\", \"ff_clamp\": 5"),
    TRANSFORMER("\"channel_gates\": \"concrete\", \"group_gates\": \"concrete\", "
                "\"head_gates\": \"concrete\", \"gated\": true, \"placement\": \"sandwich\""),
};

static void a_model_without_closed_units_computes_what_the_gated_one_does(void **state)
{
    (void)state;
    struct trial t;
    open(&t);
    for (size_t i = 0; i < sizeof gated_models / sizeof *gated_models; i++)
        for (int pattern = 0; pattern < 4; pattern++)
            check_pattern(&t, gated_models[i], pattern);
    done(&t);
}

/* what else belongs to heads, to groups of keys or to all layers together */
static const char *const variants[] = {
    HEADS("3", "\"qk_norm\": \"rms\", \"value_norm\": \"rms\""),
    HEADS("6", "\"qk_norm\": \"k_rms\", \"attn_sink\": true"),
    HEADS("3", "\"qk_norm\": \"l2\", \"qk_norm_scale_kind\": \"heads\""),
    HEADS("3", "\"qk_norm\": \"l2\", \"qk_norm_scale_kind\": \"learned\""),
    HEADS("3", "\"qk_norm\": \"l2\", \"qk_norm_dim_scale\": true, \"attn_laser\": true"),
    HEADS("3", "\"attn_sink\": true, \"attn_head_scale\": true"),
    HEADS("3", "\"attn_gate_heads\": true, \"attn_gate_values\": true"),
    HEADS("3", "\"attn_gate_heads\": true, \"attn_gate_output\": true, \"attn_on_attn\": true"),
    HEADS("3",
        "\"attn_gate_values\": true, \"attn_gate_bias\": false, \"attn_gate_output\": true"),
    HEADS("2", "\"attn_gate_values\": true, \"attn_gate_heads\": true, \"attn_gate_output\": "
               "true, \"attn_gate_rank\": 2, \"group_gates\": \"concrete\""),
    HEADS("3", "\"attn_num_mem_kv\": 2"),
    HEADS("2", "\"attn_num_mem_kv\": 3, \"qk_norm\": \"rms\", \"attn_laser\": true, "
               "\"group_gates\": \"concrete\""),
    HEADS("3", "\"rel_pos\": \"t5\", \"rel_pos_buckets\": 8"),
    HEADS("3", "\"rel_pos\": \"alibi\", \"alibi_heads\": 4"),
    HEADS(
        "3", "\"rel_pos\": \"alibi\", \"alibi_learned\": true, \"group_gates\": \"concrete\""),
    HEADS("3", "\"rel_pos\": \"dynamic\""),
    HEADS("3", "\"rel_pos\": \"xl\""),
    HEADS("3", "\"rel_pos\": \"forget\""),
    HEADS("3", "\"rel_pos\": \"cope\", \"cope_max_pos\": 4"),
    HEADS("3", "\"rel_pos\": \"rel_proj\", \"rel_proj_rank\": 2, \"rel_proj_reach\": 5"),
    HEADS("3", "\"rel_pos\": \"forget_row\", \"forget_row_dim\": 2"),
    HEADS("3", "\"rotary\": \"pope\""),
    HEADS("6", "\"rotary\": \"pope\", \"rel_pos\": \"t5\""),
    HEADS("3", "\"rotary\": \"rope\", \"rotary_heads\": 6"),
    HEADS("6", "\"rotary\": \"rope\", \"rotary_heads\": 3"),
    HEADS("6", "\"rotary\": \"xpos\", \"rotary_heads\": 2"),
    HEADS("6", "\"attn_kv_latent\": 4, \"rel_pos\": \"alibi\""),
    HEADS("6", "\"attn_kv_latent\": 4, \"attn_q_latent\": 5, \"rotary\": \"rope\", "
               "\"rotary_dims\": 2, \"attn_latent_norm\": true"),
    ENCODER("\"head_gates\": \"concrete\", \"rel_pos\": \"t5\""),
    ENCODER("\"head_gates\": \"concrete\", \"rel_pos\": \"xl\""),
    ENCODER("\"head_gates\": \"concrete\", \"rel_pos\": \"alibi\", \"alibi_asymmetric\": true"),
    ENCODER("\"head_gates\": \"concrete\", \"rel_pos\": \"forget\", \"attn_sink\": true"),
    ENCODER("\"head_gates\": \"concrete\", \"rotary\": \"pope\", \"attn_gate_heads\": true"),
};

/* d(loss) of what both have, in evaluation */
static void differentiate(struct trial *t, const mega_model *m, mega_dtype dtype)
{
    int32_t next[B * T];
    struct mega_batch b = { .n = B };
    for (int i = 0; i < B * T; i++) next[i] = t->id[(i + 1) % (B * T)];
    b.rows[0] = (struct mega_rows){ .B = B, .T = T };
    b.text[0] = mega_tensor_over(t->id, MEGA_I32, 2, (int64_t[]){ B, T });
    b.target = mega_tensor_over(next, MEGA_I32, 1, (int64_t[]){ B * T });
    mega_run_begin(t->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD, .dtype = dtype });
    mega_run_seed(t->run, mega_batch_loss(t->run, m, &b), 1);
    mega_run_backward(t->run);
    if (mega_run_end(t->run)) fail_msg("%s", mega_message());
}

/* gates are multiplied into what reads the heads' output, and its gradients differ by them */
static bool is_folded(const char *name)
{
    return strstr(name, ".o.weight") || strstr(name, "gate.out") || strstr(name, "gate.log_a");
}

/* a model without the closed heads learns as the gated one, given its gates */
static void check_gradients(struct trial *t, const char *json, int pattern)
{
    mega_model *m = make(json), *small;
    struct mega_text heads = { 0 }, channels = { 0 };
    set_gates(m, pattern);
    lists(m, &heads, &channels);
    struct mega_model_heads_change change = {
        .kept = heads.data, .fold = true, .for_training = true
    };
    if (mega_model_heads_change(&small, m, &change)) fail_msg("%s: %s", json, mega_message());
    differentiate(t, m, MEGA_F32);
    differentiate(t, small, MEGA_F32);
    for (const struct mega_param *p = small->store.first; p; p = p->next) {
        const struct mega_param *old = mega_store_find(&m->store, p->name);
        if (!mega_same_shape(&old->value, &p->value) || is_folded(p->name)) continue;
        double d = apart(old->gradient.data, p->gradient.data, mega_count(&p->value));
        if (!(d <= 1e-5))
            fail_msg("%s: kept %s: d(%s) is %g apart", json, heads.data, p->name, d);
    }
    mega_text_done(&heads);
    mega_text_done(&channels);
    mega_model_free(small);
    mega_model_free(m);
}

/* parts of the heads, whose outputs nobody but their own backward pass reads, in bfloat16 */
static void parts_of_the_heads_learn_in_bfloat16(void **state)
{
    (void)state;
    struct trial t;
    open(&t);
    mega_model *m[2];
    for (int i = 0; i < 2; i++) {
        m[i] = make(HEADS("3", "\"attn_num_mem_kv\": 2, \"kept_heads\": \"0-2; 1-5; 0 4 5\""));
        differentiate(&t, m[i], i ? MEGA_BF16 : MEGA_F32);
    }
    double most = 0, largest = 0;
    for (int64_t i = 0; i < m[0]->store.count; i++) {
        most =
            fmax(most, fabs((double)m[0]->store.gradient[i] - (double)m[1]->store.gradient[i]));
        largest = fmax(largest, fabs((double)m[0]->store.gradient[i]));
    }
    if (!(most < 0.05 * largest)) fail_msg("%g of %g apart", most, largest);
    for (int i = 0; i < 2; i++) mega_model_free(m[i]);
    done(&t);
}

static void whatever_belongs_to_heads_goes_with_them(void **state)
{
    (void)state;
    struct trial t;
    open(&t);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        for (int pattern = 0; pattern < 4; pattern++) {
            check_pattern(&t, variants[i], pattern);
            if (strstr(variants[i], "language_model"))
                check_gradients(&t, variants[i], pattern);
        }
    done(&t);
}

/* by the original numbers, twice as at once */
static void variants_lose_heads_twice_as_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        mega_model *m = make(variants[i]), *one, *two, *both;
        struct mega_model_heads_change c = { .kept = "1-5; 0 3-5; all", .fold = true };
        set_gates(m, 1);
        if (mega_model_heads_change(&one, m, &c)) fail_msg("%s", mega_message());
        c.kept = "2 4 5; 5; 0-4";
        if (mega_model_heads_change(&two, one, &c)) fail_msg("%s", mega_message());
        if (mega_model_heads_change(&both, m, &c)) fail_msg("%s", mega_message());
        if (mega_store_hash(&two->store) != mega_store_hash(&both->store))
            fail_msg("%s: twice is not as at once", variants[i]);
        mega_model_free(one);
        mega_model_free(two);
        mega_model_free(both);
        mega_model_free(m);
    }
}

static void without_attention_a_block_keeps_its_moving_average(void **state)
{
    (void)state;
    mega_model *m = make(MEGA("\"chunk\": 4, \"kept_heads\": \"all; -; all\""));
    assert_null(mega_store_find(&m->store, "decoder.layers.1.mega_layer.v_proj.weight"));
    assert_null(mega_store_find(&m->store, "decoder.layers.1.mega_layer.gamma"));
    assert_null(mega_store_find_cell(&m->store, "decoder.layers.1.mega_layer.keys"));
    assert_non_null(mega_store_find(&m->store, "decoder.layers.1.mega_layer.move.alpha"));
    const struct mega_param *p =
        mega_store_find(&m->store, "decoder.layers.1.mega_layer.mx_proj.weight");
    assert_non_null(p);
    assert_int_equal(p->value.dim[0], 2 * 12);
    mega_model_free(m);
    m = make(MEGALODON("\"kept_heads\": \"0 2; -; 1\""));
    assert_null(mega_store_find(&m->store, "layers.1.mega.wz.weight"));
    assert_null(mega_store_find_cell(&m->store, "layers.1.mega.keys"));
    assert_non_null(mega_store_find(&m->store, "layers.1.mega.wh1.weight"));
    p = mega_store_find(&m->store, "layers.0.mega.gamma");
    assert_non_null(p);
    assert_int_equal(p->value.dim[1], 8);
    p = mega_store_find(&m->store, "layers.2.mega.wh2.weight");
    assert_int_equal(p->value.dim[1], 3);
    mega_model_free(m);
}

static void blocks_of_channels_keep_their_numbers(void **state)
{
    (void)state;
    mega_model *m = make(TRANSFORMER("\"gated\": true")), *one, *two, *both;
    struct mega_model_heads_change c = { .channels = "all; 0 2; -", .fold = true };
    if (mega_model_heads_change(&one, m, &c)) fail_msg("%s", mega_message());
    assert_null(mega_store_find(&one->store, "sub.5.norm_pre.weight"));
    assert_null(mega_store_find(&one->store, "sub.5.ff.up.weight"));
    assert_non_null(mega_store_find(&one->store, "sub.5.ff.down.bias"));
    c.channels = "1-2; 2; -";
    assert_int_equal(mega_model_heads_change(&two, one, &c), MEGA_OK);
    assert_int_equal(mega_model_heads_change(&both, m, &c), MEGA_OK);
    assert_true(mega_store_hash(&two->store) == mega_store_hash(&both->store));
    c.channels = "all; 1; -";
    mega_model *again;
    assert_int_equal(mega_model_heads_change(&again, one, &c), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "layer 1 has no block 1 any more: it was removed"));
    mega_model_free(one);
    mega_model_free(two);
    mega_model_free(both);
    mega_model_free(m);
}

/* of one model the costs of every kind of unit there is */
static void check_costs(const char *json, const double *cost, int n)
{
    mega_model *m = make(json);
    struct mega_model_units u;
    assert_int_equal(mega_model_units_find(&u, m), MEGA_OK);
    for (int i = 0; i < n; i++)
        if (!(fabs(u.set[i].cost - cost[i]) < 1e-9))
            fail_msg("%s: unit %d costs %g, expected %g", json, i, u.set[i].cost, cost[i]);
    mega_model_units_done(&u);
    mega_model_free(m);
}

static void units_cost_what_goes_with_them(void **state)
{
    (void)state;
    /* a query head: 4 rows of 12 and their bias, 3 columns of 12; its half of a group of keys
     * and values: (4 + 3) (12 + 1) */
    check_costs(TRANSFORMER("\"head_gates\": \"concrete\""), (double[]){ 52 + 36 + 45.5 }, 1);
    check_costs(TRANSFORMER("\"head_gates\": \"concrete\", \"group_gates\": \"concrete\""),
        (double[]){ 52 + 36, 91 }, 2);
    check_costs(TRANSFORMER("\"group_gates\": \"concrete\""), (double[]){ 91 + 2 * 88 }, 1);
    /* 4 channels: rows of 12 and a bias, columns of 12; with a gate rows once more */
    check_costs(TRANSFORMER("\"channel_gates\": \"concrete\""), (double[]){ 4 * 25 }, 1);
    check_costs(TRANSFORMER("\"channel_gates\": \"concrete\", \"gated\": true"),
        (double[]){ 4 * 38 }, 1);
    /* z: 4 rows and a bias, gamma and beta twice; v, r and wh2 */
    check_costs(MEGALODON("\"head_gates\": \"concrete\""),
        (double[]){ 4 * (12 + 1 + 4) + 3 * (13 + 13 + 12) }, 1);
    check_costs(
        MEGALODON("\"branch_gates\": \"concrete\""), (double[]){ 3 * (4 * 17 + 3 * 38) }, 1);
    /* v, rows of z and r, h, gamma and beta, alpha and beta of the rotary bias */
    check_costs(MEGA("\"chunk\": 4, \"branch_gates\": \"concrete\""),
        (double[]){ 10 * 13 + 16 * 13 + 120 + 4 * 6 + 2 * 6 }, 1);
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } bad[] = {
        { MEGALODON("\"head_gates\": \"concrete\", \"branch_gates\": \"concrete\""),
            "head_gates does not go with branch_gates" },
        { MEGALODON("\"kept_heads\": \"all; all\""), "kept_heads has 2 lists" },
        { MEGALODON("\"kept_heads\": \"all; 3; all\""), "names a head that there never was" },
        { MEGA("\"chunk\": 4, \"kept_heads\": \"all; 1; all\""),
            "names a head that there never was" },
        { MEGA("\"chunk\": 4, \"kept_heads\": \"all\""), "kept_heads has 1 lists" },
        { TRANSFORMER("\"group_gates\": \"concrete\", \"kept_heads\": \"0-2; all; all\""),
            "group_gates does not go with kept_heads" },
        { LM("transformer", "\"heads\": 6, \"keys\": 4, \"longest\": 16, \"rotary_dims\": 2, "
                            "\"group_gates\": \"concrete\", \"attn_kv_latent\": 4"),
            "group_gates with attn_kv_latent" },
        { LM("transformer", "\"heads\": 6, \"ffn\": 10, \"longest\": 16, \"channel_block\": 4, "
                            "\"channel_gates\": \"concrete\""),
            "a feed-forward of 10 channels has no whole blocks of 4" },
        { TRANSFORMER("\"channel_gates\": \"concrete\", \"ff_post_act_norm\": true"),
            "channel_gates does not go with a norm inside the feed-forward" },
        { TRANSFORMER("\"kept_channels\": \"all; 3; all\""),
            "names a block that there never was" },
        { TRANSFORMER("\"kept_channels\": \"all; all\""), "kept_channels has 2 lists" },
        { TRANSFORMER("\"cross_gates\": \"concrete\""), "expected cross_attend" },
        { TRANSFORMER("\"channel_gates\": \"concrete\", \"gate_high\": 1"),
            "the upper limit of head gates is 1" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mega_model *m;
        if (!model_try(&m, bad[i].json, true)) fail_msg("%s: was not refused", bad[i].json);
        if (!strstr(mega_message(), bad[i].says))
            fail_msg("%s: said %s", bad[i].json, mega_message());
    }
}

/* each kind draws for itself: unlike gates of one place do not share their noise */
static void kinds_of_gates_draw_apart(void **state)
{
    (void)state;
    mega_model *m = make(TRANSFORMER("\"group_gates\": \"concrete\", \"head_gates\": "
                                     "\"concrete\", \"channel_gates\": \"concrete\""));
    struct mega_model_units u;
    assert_int_equal(mega_model_units_find(&u, m), MEGA_OK);
    assert_int_equal(u.n, 9);
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < i; k++)
            if (u.set[i].layer == u.set[k].layer)
                assert_string_not_equal(u.set[i].gates->name, u.set[k].gates->name);
    assert_int_equal(u.set[8].layer, 2);
    mega_model_units_done(&u);
    mega_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_without_closed_units_computes_what_the_gated_one_does),
        cmocka_unit_test(whatever_belongs_to_heads_goes_with_them),
        cmocka_unit_test(parts_of_the_heads_learn_in_bfloat16),
        cmocka_unit_test(variants_lose_heads_twice_as_at_once),
        cmocka_unit_test(without_attention_a_block_keeps_its_moving_average),
        cmocka_unit_test(blocks_of_channels_keep_their_numbers),
        cmocka_unit_test(units_cost_what_goes_with_them),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(kinds_of_gates_draw_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
