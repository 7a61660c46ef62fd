/* Attention with each of its variants: a stream token by token or in pieces equals the whole,
 * packed documents equal documents alone, every parameter learns, and what cannot be is
 * refused.
 */
#include "layer/attention_setup.h"

static void a_stream_equals_the_whole(void **state)
{
    (void)state;
    static float all[N], pieces[N];
    static const int32_t full[B] = { T, 7 };
    for (int v = 0; v < VARIANT_COUNT; v++)
        for (int64_t each = 1; each <= 4; each += 3) {
            struct setup s;
            struct mega_attention_options o = plain();
            mega_stream *stream;
            variants[v].set(&o);
            open(&s, &o);
            pass(&s, NULL, 0, full, NULL, 0, T, all);
            assert_int_equal(mega_stream_new(&stream, &s.store, B, each, T), MEGA_OK);
            for (int64_t at = 0; at < T; at += each) {
                int64_t n = at + each < T ? each : T - at;
                int32_t len[B];
                for (int b = 0; b < B; b++)
                    len[b] = (int32_t)(full[b] < at ? 0 : full[b] < at + n ? full[b] - at : n);
                pass(&s, stream, 0, len, NULL, at, n, pieces);
            }
            mega_stream_free(stream);
            assert_near(variants[v].name, all, pieces);
            done(&s);
        }
}

static void packed_documents_equal_documents_alone(void **state)
{
    (void)state;
    static const int64_t starts[] = { 0, 4, 5, T };
    static float packed[N], alone[N];
    int32_t doc[B * T];
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 4 ? 0 : i % T < 5 ? 4 : 5;
    for (int v = 0; v < VARIANT_COUNT; v++)
        for (int causal = 0; causal < 2; causal++) {
            struct setup s;
            struct mega_attention_options o = plain();
            variants[v].set(&o);
            o.causal = causal;
            if (!causal && mega_attention_check(&o)) continue;
            open(&s, &o);
            pass(&s, NULL, 0, NULL, doc, 0, T, packed);
            for (int d = 0; d < 3; d++)
                pass(&s, NULL, 0, NULL, NULL, starts[d], starts[d + 1] - starts[d], alone);
            assert_near(variants[v].name, packed, alone);
            done(&s);
        }
}

static void training_finds_gradients_for_every_parameter(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANT_COUNT; v++) {
        struct setup s;
        struct mega_attention_options o = plain();
        variants[v].set(&o);
        open(&s, &o);
        mega_run_begin(
            s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
        struct mega_rows rows = { .B = B, .T = T };
        struct mega_attention_args a = { .bias = mega_position_bias_run(s.run, &s.bias, T) };
        if (o.prepare.value_residual) a.first = piece(&s, s.first, o.kv_heads * o.values, 0, T);
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
        mega_run_seed(s.run, out, 1);
        mega_run_backward(s.run);
        if (mega_run_end(s.run)) fail_msg("%s: %s", variants[v].name, mega_message());
        for (struct mega_param *p = s.store.first; p; p = p->next) {
            double sum = 0;
            for (int64_t i = 0; i < p->count; i++)
                sum += fabs((double)((float *)p->gradient.data)[i]);
            /* a bias of all keys moves no softmax; hard weights have none */
            bool idle = !strcmp(p->name, "k.bias") || !strcmp(p->name, "dpb.2.bias");
            if (!(sum > 0) && !idle) fail_msg("%s: %s got nothing", variants[v].name, p->name);
            assert_true(isfinite(sum));
        }
        done(&s);
    }
}

/* ---- refusals ---- */

#define REFUSED(X)                                                                             \
    X("qk_norm_groups", o->prepare.groups = 2)                                                 \
    X("qk_norm_groups", o->prepare.qk_norm = MEGA_QK_NORM_L2; o->prepare.groups = 3)           \
    X("qk_norm_dim_scale", o->prepare.dim_scale = true)                                        \
    X("rotary_dims", o->rotary.dims = 3)                                                       \
    X("rotary_heads with kv_heads", o->rotary.kind = MEGA_ROTARY_ROPE; o->rotary.heads = 2)    \
    X("rotary: xpos", o->rotary.kind = MEGA_ROTARY_XPOS; o->causal = false)                    \
    X("rotary: pope with attn_num_mem_kv", o->rotary.kind = MEGA_ROTARY_POPE;                  \
        o->prepare.memories = 1)                                                               \
    X("rel_pos: cope", o->position.kind = MEGA_REL_POS_COPE; o->causal = false)                \
    X("attn_selective", o->score.selective = true; o->causal = false)                          \
    X("rel_pos: xl with attn_score: l2", o->position.kind = MEGA_REL_POS_XL; o->score.l2 = 1)  \
    X("rel_pos: xl with attn_fn", o->position.kind = MEGA_REL_POS_XL;                          \
        o->score.fn = MEGA_ATTENTION_LAPLACE)                                                  \
    X("rel_pos: xl with rotary: pope", o->position.kind = MEGA_REL_POS_XL;                     \
        o->rotary.kind = MEGA_ROTARY_POPE)                                                     \
    X("attn_kv_latent does not go with rel_pos: xl", set_latent_sizes(o);                      \
        o->position.kind = MEGA_REL_POS_XL)                                                    \
    X("rel_pos: forget_row", o->position.kind = MEGA_REL_POS_FORGET_ROW; o->causal = false)    \
    X("attn_exec: fused with rel_pos: forget_row", o->score.exec = MEGA_ATTENTION_FUSED;       \
        o->position.kind = MEGA_REL_POS_FORGET_ROW)                                            \
    X("max_mem_len with rel_pos: forget_row", o->memory = 4;                                   \
        o->position.kind = MEGA_REL_POS_FORGET_ROW)                                            \
    X("alibi_asymmetric", o->position.alibi_asymmetric = true; o->causal = false)              \
    X("alibi_asymmetric", o->position.kind = MEGA_REL_POS_ALIBI;                               \
        o->position.alibi_asymmetric = true)                                                   \
    X("alibi_learned", o->position.alibi_learned = true)                                       \
    X("attn_z_loss with attn_fn", o->z_loss = 1; o->score.fn = MEGA_ATTENTION_SIGMOID)         \
    X("qk_clip with attn_fn: sigmoid", o->clip = 1; o->score.fn = MEGA_ATTENTION_SIGMOID)      \
    X("qk_clip with qk_norm", o->clip = 1; o->prepare.qk_norm = MEGA_QK_NORM_RMS)              \
    X("qk_clip with attn_kv_latent", o->clip = 1; set_latent_sizes(o))                         \
    X("qk_clip with attn_score: l2", o->clip = 1; o->score.l2 = 1)                             \
    X("qk_clip with rotary: pope", o->clip = 1; o->rotary.kind = MEGA_ROTARY_POPE)             \
    X("attn_hybrid: cema", o->output.hybrid = MEGA_HYBRID_CEMA; o->causal = false)             \
    X("attn_hybrid", o->output.hybrid = MEGA_HYBRID_EMA; o->cross = true)                      \
    X("attn_hybrid_mix", o->output.hybrid_mix = true)                                          \
    X("kept_heads does not go with attn_hybrid", o->kept = "0";                                \
        o->output.hybrid = MEGA_HYBRID_EMA)                                                    \
    X("causal_key_mask_prob", o->score.hide = 0.1; o->causal = false)                          \
    X("attn_belief", o->output.belief = MEGA_BELIEF_WHOLE; o->cross = true)                    \
    X("attn_fn: inverted", o->score.fn = MEGA_ATTENTION_INVERTED)                              \
    X("attn_score: l2 with attn_fn", o->score.l2 = 1; o->score.fn = MEGA_ATTENTION_TOPK)       \
    X("attn_score: l2 with qk_norm", o->score.l2 = 1; o->prepare.qk_norm = MEGA_QK_NORM_L2)    \
    X("attn_fn: sigmoid with attn_sink", o->score.fn = MEGA_ATTENTION_SIGMOID;                 \
        o->score.sink = true)                                                                  \
    X("attn_fn: sigmoid with attn_zero_kv", o->score.fn = MEGA_ATTENTION_SIGMOID;              \
        o->score.zeros = 1)                                                                    \
    X("attn_topk_straight_through", o->score.through = true)                                   \
    X("attn_exec: fused with attn_talking_heads", o->score.exec = MEGA_ATTENTION_FUSED;        \
        o->score.talking = MEGA_TALKING_PRE)                                                   \
    X("attn_exec: fused with rel_pos: cope", o->score.exec = MEGA_ATTENTION_FUSED;             \
        o->position.kind = MEGA_REL_POS_COPE)                                                  \
    X("attn_exec: fused with attn_selective", o->score.exec = MEGA_ATTENTION_FUSED;            \
        o->score.selective = true)                                                             \
    X("attn_exec: fused with residual_attn", o->score.exec = MEGA_ATTENTION_FUSED;             \
        o->score.residual = true)                                                              \
    X("attn_kv_latent does not go with kv_heads", o->prepare.kv_latent = 4)                    \
    X("attn_kv_latent does not go with qk_norm", set_latent_sizes(o);                          \
        o->prepare.qk_norm = MEGA_QK_NORM_RMS)                                                 \
    X("attn_kv_latent does not go with attn_q_latent", o->prepare.q_latent = 4)                \
    X("attn_kv_latent does not go with max_mem_len", set_latent_sizes(o); o->memory = 4)       \
    X("mem_segment", o->segment = 4; o->through = 1)                                           \
    X("detach_mems: false", o->memory = 4; o->through = 1)                                     \
    X("mem_segment with detach_mems: true", o->memory = 4; o->segment = 4)                     \
    X("mem_segment with attn_selective", o->memory = 4; o->segment = 4; o->through = 1;        \
        o->score.selective = true)                                                             \
    X("mem_segment with value_residual", o->memory = 4; o->segment = 4; o->through = 1;        \
        o->prepare.value_residual = MEGA_VALUE_RESIDUAL_HALF)                                  \
    X("max_mem_len with chunk", o->memory = 3; o->chunk = 4)

static void combinations_that_cannot_be_are_refused_by_name(void **state)
{
    (void)state;
#define REFUSE(text, ...)                                                                      \
    {                                                                                          \
        struct mega_attention_options options = plain(), *o = &options;                        \
        __VA_ARGS__;                                                                           \
        assert_int_equal(mega_attention_check(o), MEGA_BAD_ARGUMENT);                          \
        if (!strstr(mega_message(), text))                                                     \
            fail_msg("expected \"%s\" in: %s", text, mega_message());                          \
    }
    REFUSED(REFUSE)
#undef REFUSE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_equals_the_whole),
        cmocka_unit_test(packed_documents_equal_documents_alone),
        cmocka_unit_test(training_finds_gradients_for_every_parameter),
        cmocka_unit_test(combinations_that_cannot_be_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
