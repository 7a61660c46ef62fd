/* What does not go together is refused by name, with both options and the reason; other words
 * mean what the options mean; plans are what the papers say. */
#include "model/encoder_decoder.h"
#include "model/small_transformer.h"
#include "model/transformer_init.h"
#include "model/transformer_rules.h"

static void refuses(bool causal, const char *settings, const char *message)
{
    struct small s;
    mega_status status = small_declare(&s, causal, settings);
    if (status != MEGA_BAD_ARGUMENT) fail_msg("%s is not refused", settings);
    if (!strstr(mega_message(), message)) fail_msg("%s: %s", settings, mega_message());
    small_close(&s);
}

static void options_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    static const struct {
        bool causal;
        const char *settings, *message;
    } rules[] = {
        /* R1 */
        { true, "kv_heads=3", "heads is 2 and kv_heads is 3" },
        { true, "rotary_dims=6", "rotary_dims is 6" },
        { true, "qk_norm=l2 qk_norm_groups=2", "qk_norm_groups is 2" },
        /* R3 */
        { false, "rotary=xpos", "rotary: xpos" },
        { false, "causal_key_mask_prob=0.1", "causal_key_mask_prob" },
        { false, "rel_pos=cope", "rel_pos: cope" },
        { false, "attn_selective=true", "attn_selective" },
        { false, "num_memory_tokens=2 memory_every=4",
            "memory_every does not go with an encoder" },
        /* R4 */
        { true, "residual=mv_split", "residual mv_split does not go with a decoder" },
        { true, "attn_fn=inverted", "attn_fn: inverted" },
        { true, "residual=orthogonal orthogonal_scope=sample", "orthogonal_scope sample" },
        /* R5 */
        { true, "attn_exec=fused attn_talking_heads=pre", "attn_exec: fused" },
        { true, "attn_exec=fused residual_attn=true", "attn_exec: fused" },
        /* R6, R7 */
        { true, "attn_score=l2 attn_fn=topk", "attn_score: l2 with attn_fn" },
        { true, "attn_score=l2 qk_norm=rms", "attn_score: l2 with qk_norm" },
        { true, "attn_fn=sigmoid attn_sink=true", "attn_fn: sigmoid with attn_sink" },
        { true, "attn_fn=sigmoid attn_zero_kv=1", "attn_fn: sigmoid with attn_zero_kv" },
        /* R9 */
        { true, "norm=dyt placement=post", "norm dyt or derf does not go with placement" },
        { true, "placement=residual residual=gru",
            "placement residual does not go with residual" },
        { true, "placement=deepnorm residual=gru",
            "placement deepnorm does not go with residual" },
        { true, "placement=deepnorm residual_streams=2", "residual_streams does not go with" },
        { true, "placement=post norm_branch_sites=attn", "norm_branch_sites does not go with" },
        /* R10 */
        { true, "residual_streams=2 residual=gru",
            "residual_streams does not go with residual" },
        { true, "residual_streams=2 unet_skips=true",
            "residual_streams does not go with unet_skips" },
        /* R11 */
        { true, "sandwich_coef=1 par_ratio=2", "sandwich_coef and par_ratio are both given" },
        { true, "sandwich_coef=1 layer_types=af",
            "sandwich_coef and layer_types are both given" },
        { true, "par_ratio=2 weight_tie_layers=true", "par_ratio and weight_tie_layers" },
        { true, "layer_types=af weight_tie_layers=true", "layer_types and weight_tie_layers" },
        { true, "sandwich_coef=3", "sandwich_coef is 3 and layers is 2" },
        { true, "par_ratio=9", "par_ratio is 9 and layers is 2" },
        { true, "layer_types=axf", "layer_types is 'axf'" },
        { true, "layer_order=0,7", "layer_order has the sublayer 7" },
        { true, "repeat_blocks=1,0,2", "repeat_blocks" },
        /* R12, R23 */
        { true, "residual_attn=true heads=2,1", "residual_attn does not go with heads" },
        { true, "value_residual=half kv_heads=2,1",
            "value_residual does not go with kv_heads" },
        { true, "rel_pos=alibi heads=2,1", "rel_pos does not go with heads" },
        /* R13 */
        { true, "max_mem_len=4", "max_mem_len does not go with positions" },
        { true, "shift_mem_down=1", "shift_mem_down does not go with max_mem_len 0" },
        { true, "positions=none max_mem_len=4 num_memory_tokens=2 memory_every=2",
            "max_mem_len does not go with memory_every" },
        { true,
            "positions=none max_mem_len=4 mem_segment=4 detach_mems=false num_memory_tokens=2",
            "mem_segment does not go with num_memory_tokens" },
        { true, "positions=none max_mem_len=4 num_memory_tokens=2 attn_hybrid=ema",
            "max_mem_len with num_memory_tokens does not go with attn_hybrid" },
        /* R15 */
        { true, "rotary=rope rotary_heads=1 kv_heads=1", "rotary_heads with kv_heads" },
        /* R16 */
        { true, "loops=2", "loops does not go with placement" },
        { true, "placement=pre_post loops=2 recycle_steps=2",
            "loops does not go with recycle_steps" },
        { false, "placement=pre_post loops=2", "loops does not go with an encoder" },
        { true, "placement=pre_post loops=2 cross_attend=true",
            "loops does not go with attention to a context" },
        { true, "placement=pre_post loops=2 positions=none max_mem_len=4 shift_mem_down=1",
            "loops does not go with shift_mem_down" },
        { true, "eval_loops=2", "eval_loops does not go with loops 1" },
        { true, "exit_at=0.5", "exit_at does not go with loops 1" },
        /* R24 */
        { true, "tied=true emb_dim=6", "tied is true, but emb_dim is 6 and width is 8" },
        /* and those that the options here add */
        { true, "heads=2,1,2", "heads is a list of 3, but the plan has 2 attentions" },
        { true, "ffn=8,8,8", "ffn is a list of 3, but the plan has 2 feed-forwards" },
        { true, "norm=adaln", "norm is adaptive and norm_condition is 0" },
        { true, "norm=batchnorm", "norm is over the batch" },
        { true, "activation=solu gated=true", "activation solu does not go with gated" },
        { true, "ff_gate_clamp=2", "ff_gate_clamp does not go with gated false" },
        { true, "memory_every=2", "memory_every does not go with num_memory_tokens 0" },
        { true, "drop_path=true", "drop_path does not go with layer_dropout 0" },
        { true, "residual=lime weight_tie_layers=true", "residual lime does not go with" },
        { true, "unet_skips=true layer_types=afaf", "unet_skips does not go with" },
        { true, "stream_constraint=doubly_stochastic", "stream_constraint does not go with" },
        { true, "output_mos=2 fixnorm_output=true", "output_mos does not go with" },
        { true, "positions=sinusoidal emb_dim=5", "expected an even number" },
        { true, "positions=none recycle_steps=2 max_mem_len=4",
            "recycle_steps does not go with max_mem_len" },
        { true, "residual_attn_carry=full", "residual_attn_carry does not go with" },
        { true, "gumbel_hard=true", "gumbel_hard" },
        { true, "gumbel_eval=argmax", "gumbel_eval" },
        { false, "rel_pos=forget_row", "rel_pos: forget_row" },
        { true, "rel_pos=alibi alibi_asymmetric=true", "alibi_asymmetric" },
        { true, "attn_fn=sigmoid attn_z_loss=0.1", "attn_z_loss with attn_fn" },
        { true, "attn_fn=sigmoid qk_clip=9", "qk_clip with attn_fn: sigmoid" },
        { true, "positions=none max_mem_len=4 shift_mem_wrap=own",
            "shift_mem_wrap does not go with shift_mem_down 0" },
        { true, "residual_views=3", "residual_views does not go with residual" },
        { true, "residual=lime residual_views=2", "residual_views does not go with 2" },
        /* R14 */
        { true, "residual=lime residual_views=3 positions=none max_mem_len=4",
            "residual_views does not go with max_mem_len" },
        { true, "residual_streams=2 residual_views=3 shift_tokens=1",
            "residual_views does not go with shift_tokens" },
        { true, "residual_streams=2 residual_views=3 attn_kv_latent=4 rotary_dims=2",
            "residual_views does not go with attn_kv_latent" },
        { true, "residual=depth_attn weight_tie_layers=true",
            "residual depth_attn does not go with" },
        { true, "residual=depth_attn layer_dropout=0.1",
            "residual depth_attn does not go with layer_dropout" },
        { true, "residual=depth_attn depth_attn_heads=8", "depth_attn_heads does not go with" },
        { true, "depth_attn_query=state", "depth_attn_heads, depth_attn_query" },
        { true, "residual=depth_attn depth_attn_add=false placement=post",
            "depth_attn_add false does not go with" },
        { true, "residual_streams=2 residual=depth_attn",
            "residual_streams does not go with residual" },
        { true, "ff_deep_embed=true num_memory_tokens=2",
            "ff_deep_embed does not go with num_memory_tokens" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        refuses(rules[i].causal, rules[i].settings, rules[i].message);
}

static void what_is_hardly_meant_is_said(void **state)
{
    (void)state;
    struct small s;
    assert_int_equal(small_declare(&s, true, "l2norm_embed=true post_emb_norm=true"), MEGA_OK);
    assert_non_null(strstr(mega_transformer_doubt(&s.options, 0), "l2norm_embed"));
    assert_null(mega_transformer_doubt(&s.options, 1));
    small_close(&s);
}

static void other_words_mean_the_options(void **state)
{
    (void)state;
    struct small s;
    assert_int_equal(
        small_declare(&s, true,
            "dim=16 depth=3 attn_one_kv_head=true use_rmsnorm=true pre_norm=false ff_glu=true "
            "ff_no_bias=true attn_pre_talking_heads=true attn_post_talking_heads=true "
            "attn_sparse_topk=3 use_abs_pos_emb=false tie_embedding=true"),
        MEGA_OK);
    const struct mega_transformer_options *o = &s.options;
    assert_int_equal(o->width, 16);
    assert_int_equal(o->plan.layers, 3);
    assert_int_equal(o->kv_heads.each, 1);
    assert_int_equal(o->norm, MEGA_RMSNORM);
    assert_int_equal(o->placement, MEGA_PLACEMENT_POST);
    assert_true(o->gated && !o->up_bias && !o->down_bias && o->tied);
    assert_int_equal(o->attention.score.talking, MEGA_TALKING_PRE | MEGA_TALKING_POST);
    assert_int_equal(o->attention.score.fn, MEGA_ATTENTION_TOPK);
    assert_int_equal(o->attention.score.top, 3);
    assert_int_equal(o->positions, MEGA_POSITIONS_NONE);
    small_close(&s);
}

static void a_word_and_what_it_means_are_not_both_given(void **state)
{
    (void)state;
    static const char text[] = "norm: layernorm\nuse_rmsnorm: true\n";
    struct mega_document d;
    struct mega_transformer_options o;
    assert_int_equal(mega_yaml_parse(&d, "r.yaml", text, sizeof text - 1), MEGA_OK);
    assert_int_equal(mega_node_read(&d, d.root, "model", mega_transformer_table, NULL, &o),
        MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(),
        "r.yaml:2:1: model.use_rmsnorm means norm: rmsnorm, but norm is given too: expected "
        "one of the two");
    mega_document_done(&d);
}

static void lists_are_read_and_printed(void **state)
{
    (void)state;
    static const char text[] =
        "heads: [8, 3, 0]\nlayer_dropout: 0.1\nhidden_dropout: [0, 0.25]\n";
    struct mega_document d, again;
    struct mega_transformer_options o, copy;
    struct mega_text out = { 0 };
    assert_int_equal(mega_yaml_parse(&d, "r.yaml", text, sizeof text - 1), MEGA_OK);
    assert_int_equal(
        mega_node_read(&d, d.root, "model", mega_transformer_table, NULL, &o), MEGA_OK);
    mega_option_print(mega_transformer_table, &o, 0, &out);
    assert_non_null(strstr(out.data, "heads: [8, 3, 0]\n"));
    assert_int_equal(mega_yaml_parse(&again, "again.yaml", out.data, out.size), MEGA_OK);
    assert_int_equal(
        mega_node_read(&again, again.root, "model", mega_transformer_table, NULL, &copy),
        MEGA_OK);
    assert_int_equal(copy.heads.n, 3);
    assert_int_equal(mega_ints_at(&copy.heads, 1), 3);
    assert_true(copy.plan.layer_dropout.each > 0.09 && copy.plan.layer_dropout.each < 0.11);
    assert_true(mega_reals_at(&copy.hidden_dropout, 1) == 0.25);
    mega_text_done(&out);
    mega_document_done(&d);
    mega_document_done(&again);
}

/* the plan as letters, in the order of execution */
static void plan_of(const char *settings, char *out)
{
    struct small s;
    if (small_declare(&s, true, settings)) fail_msg("%s", mega_message());
    for (int64_t i = 0; i < s.model.plan.steps; i++)
        *out++ = "acf"[s.model.plan.kind[s.model.plan.step[i]]];
    *out = 0;
    small_close(&s);
}

static void plans_are_what_the_papers_say(void **state)
{
    (void)state;
    static const char *const plans[][2] = { { "layers=6 sandwich_coef=3", "aaaafafaffff" },
        { "layers=12 par_ratio=5", "affffaffffaffffaffffffff" },
        { "layers=16 par_ratio=5", "afffafffafffafffafffafffffffffff" },
        { "layers=2 macaron=true", "faffaf" }, { "layers=3 weight_tie_layers=true", "afafaf" },
        { "layers=2 repeat_blocks=0,0,3", "afafafaf" },
        { "layer_types=aff layer_order=2,0,0", "faa" },
        { "layers=2 cross_attend=true", "acfacf" }, { "layers=2 only_cross=true", "cfcf" } };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        char found[64];
        plan_of(plans[i][0], found);
        assert_string_equal(found, plans[i][1]);
    }
}

static void deepnorm_has_its_constants(void **state)
{
    (void)state;
    static const struct {
        bool causal;
        int64_t layers, other;
        double alpha, beta;
    } known[] = { { true, 6, 0, 1.861210, 0.379918 }, { false, 12, 0, 2.213364, 0.319472 },
        { false, 24, 0, 2.632148, 0.268642 }, { false, 6, 6, 1.417938, 0.496989 },
        { true, 6, 6, 2.059767, 0.343295 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct mega_transformer_options o = { .causal = known[i].causal,
            .plan = { .layers = known[i].layers },
            .other_layers = known[i].other,
            .placement = MEGA_PLACEMENT_DEEPNORM };
        assert_true(fabs(mega_transformer_alpha(&o) - known[i].alpha) < 1e-5);
        assert_true(fabs(mega_transformer_gain(&o) - known[i].beta) < 1e-5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_do_not_go_together_are_refused),
        cmocka_unit_test(what_is_hardly_meant_is_said),
        cmocka_unit_test(other_words_mean_the_options),
        cmocka_unit_test(a_word_and_what_it_means_are_not_both_given),
        cmocka_unit_test(lists_are_read_and_printed),
        cmocka_unit_test(plans_are_what_the_papers_say),
        cmocka_unit_test(deepnorm_has_its_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
