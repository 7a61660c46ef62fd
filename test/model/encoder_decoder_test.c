/* A Transformer that reads one text and writes another: padding of the source changes nothing,
 * pieces of the target equal the whole, tied tables are one, options go to either side. */
#include <math.h>
#include <stdlib.h>

#include "model/cut.h"
#include "model/encoder_decoder.h"
#include "model/small_transformer.h"
#include "model/units.h"

enum { SOURCE = 9 };

struct both {
    mega_context *context;
    struct mega_store store;
    struct mega_arena words;
    struct mega_encoder_decoder_options options;
    struct mega_encoder_decoder model;
    mega_run *run;
    int32_t source[B * SOURCE], target[B * T];
};

static mega_status declare(struct both *s, const char *settings)
{
    char name[64], value[64];
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    assert_int_equal(mega_arena_init(&s->words, (size_t)1 << 20), MEGA_OK);
    mega_encoder_decoder_defaults(&s->options);
    char all[512];
    snprintf(
        all, sizeof all, "width=8 ffn=12 layers=2 heads=2 longest=12 tied=false %s", settings);
    const char *at = all;
    for (int n; sscanf(at, " %63[^=]=%63s%n", name, value, &n) == 2; at += n)
        if (mega_encoder_decoder_set(&s->words, &s->options, name, value))
            fail_msg("%s", mega_message());
    s->options.encoder.vocabulary = s->options.decoder.vocabulary = V;
    mega_build b = { .store = &s->store };
    mega_encoder_decoder_build(&b, &s->model, &s->options);
    return b.status;
}

static void open(struct both *s, const char *settings)
{
    struct mega_rng g;
    if (declare(s, settings)) fail_msg("%s: %s", settings, mega_message());
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 3);
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * SOURCE; i++) s->source[i] = (int32_t)mega_rng_below(&g, V);
    for (int i = 0; i < B * T; i++) s->target[i] = (int32_t)mega_rng_below(&g, V);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct both *s)
{
    mega_run_free(s->run);
    mega_arena_done(&s->words);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static const int32_t lengths[B] = { 9, 6 };

/* logits of target places from ... from+n-1 go where they belong in y [B, T, V] */
static void pass(struct both *s, mega_stream *stream, int64_t from, int64_t n, float *y)
{
    mega_run_begin(s->run, &(struct mega_run_args){ .stream = stream });
    struct mega_rows source = { .B = B, .T = SOURCE, .len = lengths },
                     rows = { .B = B, .T = n };
    mega_tensor ids = mega_tensor_over(s->source, MEGA_I32, 2, (int64_t[]){ B, SOURCE });
    mega_tensor *target = mega_run_tensor(s->run, MEGA_I32, 2, (int64_t[]){ B, n });
    for (int64_t i = 0; i < B * n; i++)
        ((int32_t *)target->data)[i] = s->target[i / n * T + from + i % n];
    const struct mega_rows *here = mega_run_rows(s->run, &rows);
    mega_tensor *context =
        mega_encoder_decoder_context(s->run, &s->model, mega_run_input(s->run, &ids), &source);
    mega_tensor *out =
        mega_encoder_decoder_run(s->run, &s->model, target, here, context, &source);
    for (int64_t i = 0; out && i < B * n * V; i++)
        y[(i / V / n * T + from + i / V % n) * V + i % V] = (float)mega_get(out, i / V, i % V);
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
}

static const char *const variants[] = { "positions=learned",
    "enc_layers=3 dec_layers=1 rotary=rope positions=none norm=rmsnorm", "placement=deepnorm",
    "tie_enc_dec_embedding=true dec_tied=true", "dec_only_cross=true shift_tokens=1",
    "dec_value_residual=learned enc_rel_pos=t5", "dec_cross_attn_num_mem_kv=2 residual=gru" };

static void pieces_of_the_target_equal_the_whole(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        static float whole[B * T * V], pieces[B * T * V];
        struct both s;
        mega_stream *stream;
        open(&s, variants[v]);
        pass(&s, NULL, 0, T, whole);
        assert_int_equal(mega_stream_new(&stream, &s.store, B, 1, T), MEGA_OK);
        for (int64_t at = 0; at < T; at++) pass(&s, stream, at, 1, pieces);
        mega_stream_free(stream);
        small_assert_near(variants[v], whole, pieces);
        done(&s);
    }
}

static void padding_of_the_source_changes_nothing(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        static float first[B * T * V], second[B * T * V];
        struct both s;
        open(&s, variants[v]);
        pass(&s, NULL, 0, T, first);
        for (int t = lengths[1]; t < SOURCE; t++) s.source[SOURCE + t] = (int32_t)(t % V);
        pass(&s, NULL, 0, T, second);
        small_assert_near(variants[v], first, second);
        s.source[0] = (s.source[0] + 1) % V;
        pass(&s, NULL, 0, T, second);
        assert_true(fabsf(first[T * V / 2] - second[T * V / 2]) > 1e-6f);
        done(&s);
    }
}

static void tied_tables_are_one(void **state)
{
    (void)state;
    struct both s;
    open(&s, "tie_enc_dec_embedding=true dec_tied=true");
    assert_ptr_equal(s.model.encoder.embedding.table, s.model.decoder.embedding.table);
    assert_ptr_equal(s.model.encoder.embedding.table, s.model.decoder.head.weight);
    assert_null(mega_store_find(&s.store, "decoder.tok_emb.weight"));
    assert_non_null(mega_store_find(&s.store, "decoder.sub.1.attn.k.weight"));
    done(&s);
}

static void options_go_to_either_side(void **state)
{
    (void)state;
    struct both s;
    assert_int_equal(declare(&s, "enc_layers=3 dec_heads=4"), MEGA_OK);
    assert_int_equal(s.model.encoder.plan.steps, 6);
    assert_int_equal(s.model.decoder.plan.steps, 6);
    assert_int_equal(s.model.decoder.options.heads.each, 4);
    assert_int_equal(s.model.encoder.options.heads.each, 2);
    done(&s);
    assert_int_equal(declare(&s, "enc_cross_attend=true"), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "cross_attend of the encoder"));
    done(&s);
}

/* the parameters of the model with gates, in one without its closed heads */
static void cut_cross(const struct both *gated, struct both *small)
{
    for (struct mega_param *p = small->store.first; p; p = p->next) {
        const struct mega_param *old = mega_store_find(&gated->store, p->name);
        if (old && mega_same_shape(&p->value, &old->value))
            mega_tensor_copy(&p->value, &old->value);
    }
    int64_t layer = 0;
    for (int64_t i = 0; i < gated->model.decoder.plan.steps; i++)
        if (gated->model.decoder.step[i].kind == MEGA_BRANCH_CROSS)
            assert_int_equal(mega_cut_attention(&gated->model.decoder.step[i].attention,
                                 &small->model.decoder.step[i].attention, layer++, true),
                MEGA_OK);
}

static void without_closed_heads_of_cross_attention_the_same_comes_out(void **state)
{
    (void)state;
    static float whole[B * T * V], less[B * T * V], pieces[B * T * V];
    static const double log_a[] = { -6, 0.4, -6, -3 };
    struct mega_model_units u = { 0 };
    struct both gated, small;
    mega_stream *stream;
    open(&gated, "dec_cross_gates=concrete dec_kv_heads=1");
    assert_int_equal(mega_transformer_units_add(&u, &gated.model.encoder), MEGA_OK);
    assert_int_equal(u.n, 0);
    assert_int_equal(mega_transformer_units_add(&u, &gated.model.decoder), MEGA_OK);
    assert_int_equal(u.n, 2);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(u.set[i / 2].kind, MEGA_UNIT_CROSS_HEADS);
        mega_put(u.set[i / 2].gates->log_a, i % 2, 0, log_a[i]);
    }
    mega_model_units_done(&u);
    open(&small, "dec_kept_cross_heads=1;- dec_kv_heads=1");
    cut_cross(&gated, &small);
    memcpy(small.source, gated.source, sizeof small.source);
    memcpy(small.target, gated.target, sizeof small.target);
    pass(&gated, NULL, 0, T, whole);
    pass(&small, NULL, 0, T, less);
    double most = 0, size = 1;
    for (int i = 0; i < B * T * V; i++) {
        most = fmax(most, fabs((double)whole[i] - (double)less[i]));
        size = fmax(size, fabs((double)whole[i]));
    }
    if (!(most <= 1e-6 * size)) fail_msg("%g apart of %g", most, size);
    assert_int_equal(mega_stream_new(&stream, &small.store, B, 1, T), MEGA_OK);
    for (int64_t at = 0; at < T; at++) pass(&small, stream, at, 1, pieces);
    mega_stream_free(stream);
    small_assert_near("kept_cross_heads", less, pieces);
    done(&gated);
    done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_the_target_equal_the_whole),
        cmocka_unit_test(padding_of_the_source_changes_nothing),
        cmocka_unit_test(tied_tables_are_one),
        cmocka_unit_test(options_go_to_either_side),
        cmocka_unit_test(without_closed_heads_of_cross_attention_the_same_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
