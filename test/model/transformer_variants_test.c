/* Every variant of the Transformer's stack: pieces of a stream equal the whole, packed
 * documents equal documents alone, gradients are the slopes of what is computed, and stay the
 * same where blocks are computed again. */
#include "model/small_transformer.h"

/* of decoders */
static const char *const variants[] = {
    /* M2 */
    "layers=3 sandwich_coef=2",
    "layers=5 par_ratio=4",
    "layer_types=affaa",
    "layer_types=ffaf layer_order=0,2,1,2,3",
    "macaron=true",
    "weight_tie_layers=true layers=3",
    "repeat_blocks=0,1,2",
    "loops=3 placement=pre_post",
    "loops=2 eval_loops=3 placement=pre_post residual=depth_attn layer_dropout=0",
    /* B1 */
    "norm=scalenorm rms_guard=max norm_eps=1e-12 placement=post",
    "norm=rmsnorm norm_unit_offset=true placement=sandwich",
    "norm=simple_rmsnorm placement=pre_post",
    "norm=dyt",
    "norm=derf norm_slope=0.7",
    "placement=residual residual_scale=0.5",
    "placement=deepnorm",
    "placement=subln gated=true activation=silu",
    "placement=none final_norm=on",
    "norm_branch_sites=attn",
    /* F1 */
    "activation=relu2",
    "activation=solu",
    "gated=true activation=tanh ff_glu_mult_bias=true",
    "gated=true ff_clamp=2 ff_gate_clamp=1.5",
    "ff_post_act_norm=true norm=rmsnorm",
    "ff_deep_embed=true placement=sandwich",
    "up_bias=false attention_bias=true",
    /* B2, B3 */
    "shift_tokens=1",
    "shift_tokens=2,0,1,3",
    "branch_scale=layerscale layerscale_init=0.5 macaron=true",
    /* M1, M4 */
    "l2norm_embed=true l2norm_embed_scale=true tied=true fixnorm_output=true",
    "emb_dim=6 post_emb_norm=true embed_scale=-1",
    "num_memory_tokens=3 rotary_dims=4 positions=none",
    "num_memory_tokens=2 positions=learned shift_tokens=1",
    "num_memory_tokens=2 positions=sinusoidal chunk=5",
    "positions=scaled_sinusoidal head_bias=true logit_softclamp=3 output_softclamp=2",
    "output_mos=3",
    "output_sigsoftmax=true type_emb=2",
    /* M3 */
    "residual=gru",
    "residual=gru residual_gate=gru_cell residual_gate_relu=true placement=post",
    "scale_residual=ff residual_alpha=1.5 placement=post",
    "residual=orthogonal",
    "residual=lime layers=3",
    "residual_streams=3",
    "residual_streams=4 stream_constraint=doubly_stochastic",
    "unet_skips=true layers=3",
    "reinject_input=true reinject_gate=true",
    "residual=lime layers=3 residual_views=3",
    "residual_streams=3 residual_views=3",
    "residual_streams=2 stream_constraint=doubly_stochastic residual_views=3",
    "residual=depth_attn layers=3",
    "residual=depth_attn depth_attn_heads=2 depth_attn_query=state placement=post",
    "residual=depth_attn depth_attn_add=false",
    /* A4, A5, A8 */
    "layers=3 max_attend_past=3 max_attend_full_every=2 rotary=rope positions=none",
    "positions=none rel_pos=t5 attn_scale=0.7 tied=true logit_scale=-1",
    "positions=none rel_pos=xl kv_heads=1",
    "positions=none rel_pos=forget_row",
    "attn_hybrid=ema attn_hybrid_mix=true",
    "attn_hybrid=cema weight_tie_layers=true",
    "attn_z_loss=0.3 qk_clip=50 heads=2,1",
    /* lists */
    "heads=2,0 ffn=8,16 keys=3,5 values=4,2",
    "heads=4,2 kv_heads=2,1 chunk=5,-1",
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static bool has(const char *settings, const char *word)
{
    return strstr(settings, word) != NULL;
}

static void a_stream_equals_the_whole(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANTS; v++) small_assert_streams(variants[v], NULL);
}

static void pack(bool causal, const char *variant)
{
    static const int64_t starts[] = { 0, 5, 6, T };
    static float packed[B * T * V], alone[B * T * V];
    struct small s;
    int32_t doc[B * T];
    small_open(&s, causal, variant);
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 5 ? 0 : i % T < 6 ? 5 : 6;
    small_pass(&s, NULL, doc, 0, T, packed);
    for (int d = 0; d < 3; d++)
        small_pass(&s, NULL, NULL, starts[d], starts[d + 1] - starts[d], alone);
    small_assert_near(variant, packed, alone);
    small_close(&s);
}

static void documents_packed_equal_documents_alone(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANTS; v++) pack(true, variants[v]);
}

/* looking both ways; what looks back alone is refused */
static void so_do_those_of_an_encoder(void **state)
{
    static const char *const more[] = { "max_attend_past=3", "rel_pos=alibi positions=none",
        "rel_pos=dynamic positions=none", "attn_num_mem_kv=2", "attn_talking_heads=pre",
        "qk_norm=l2", "attn_fn=relu2", "attn_fn=topk attn_topk=2",
        "rotary=rope positions=none chunk=4", "value_residual=learned", "attn_fn=sigmoid" };
    enum { MORE = sizeof more / sizeof *more };
    int packed = 0;
    (void)state;
    for (int v = 0; v < VARIANTS + MORE; v++) {
        const char *variant = v < VARIANTS ? variants[v] : more[v - VARIANTS];
        struct small s;
        mega_status status = small_declare(&s, false, variant);
        mega_store_done(&s.store);
        mega_arena_done(&s.words);
        mega_context_free(s.context);
        if (status) continue;
        pack(false, variant);
        packed++;
    }
    assert_int_equal(packed, VARIANTS - 4 + MORE);
}

/* the sum of logits with fixed factors; with gradients if asked */
static double weighed(struct small *s, mega_dtype type, bool gradients)
{
    unsigned mode = gradients ? MEGA_RUN_TRAIN | MEGA_RUN_GRAD : MEGA_RUN_TRAIN;
    struct mega_rng g;
    double sum = 0;
    static float factor[B * T * V];
    mega_rng_start(&g, 5, 6);
    for (int i = 0; i < B * T * V; i++) factor[i] = (float)mega_rng_normal(&g);
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = mode, .dtype = type });
    mega_tensor ids = mega_tensor_over(s->ids, MEGA_I32, 2, (int64_t[]){ B, T }),
                cotangent = mega_tensor_over(factor, MEGA_F32, 3, (int64_t[]){ B, T, V });
    struct mega_rows rows = { .B = B, .T = T };
    mega_tensor *y = mega_transformer_run(
        s->run, &s->model, mega_run_input(s->run, &ids), mega_run_rows(s->run, &rows));
    for (int i = 0; y && i < B * T * V; i++)
        sum += (double)factor[i] * mega_get(y, i / V, i % V);
    if (y && gradients) {
        mega_run_seed_with(s->run, y, &cotangent);
        mega_run_backward(s->run);
    }
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
    return sum;
}

/* moves all parameters by eps in a fixed direction */
static void move(struct small *s, const float *from, float eps)
{
    struct mega_rng g;
    mega_rng_start(&g, 8, 9);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] = from[i] + eps * (float)mega_rng_normal(&g);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        struct small s;
        if (has(variants[v], "activation=relu2")) continue; /* a kink may lie between */
        small_open(&s, true, variants[v]);
        size_t bytes = (size_t)s.store.count * sizeof(float);
        float *at = malloc(bytes), *below = malloc(bytes);
        memcpy(at, s.store.value, bytes);
        weighed(&s, MEGA_F64, true);
        move(&s, at, -3e-4f);
        memcpy(below, s.store.value, bytes);
        double low = weighed(&s, MEGA_F64, false), slope = 0, size = 1e-3;
        move(&s, at, 3e-4f);
        double high = weighed(&s, MEGA_F64, false);
        for (int64_t i = 0; i < s.store.count; i++) {
            double term =
                (double)s.store.gradient[i] * ((double)s.store.value[i] - (double)below[i]);
            slope += term;
            size += fabs(term);
        }
        if (!(fabs(high - low - slope) < 1e-3 * size))
            fail_msg("%s: moving all parameters changes the sum by %g, gradients say %g",
                variants[v], high - low, slope);
        free(at);
        free(below);
        small_close(&s);
    }
}

static void blocks_computed_again_give_the_same_gradients(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        struct small s;
        small_open(&s, true, variants[v]);
        size_t bytes = (size_t)s.store.count * sizeof(float);
        float *kept = malloc(bytes);
        weighed(&s, MEGA_F32, true);
        memcpy(kept, s.store.gradient, bytes);
        for (int64_t effort = 1; effort <= 1 + s.model.stack.blocks; effort += 2) {
            memset(s.store.gradient, 0, bytes);
            mega_stack_set_effort(&s.model.stack, effort);
            weighed(&s, MEGA_F32, true);
            for (int64_t i = 0; i < s.store.count; i++)
                if (!(fabsf(kept[i] - s.store.gradient[i]) < 1e-4f * (1 + fabsf(kept[i]))))
                    fail_msg("%s, effort %d: gradient %d is %g, expected %g", variants[v],
                        (int)effort, (int)i, (double)s.store.gradient[i], (double)kept[i]);
        }
        free(kept);
        small_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_equals_the_whole),
        cmocka_unit_test(documents_packed_equal_documents_alone),
        cmocka_unit_test(so_do_those_of_an_encoder),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(blocks_computed_again_give_the_same_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
