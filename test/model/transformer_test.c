/* The Transformer from tokens to logits: a stream equals the whole, packed documents equal
 * documents alone, and options that cannot be are refused by name. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/transformer.h"
#include "op/contracts.h"

#include "cmocka_all.h"

enum { B = 2, T = 12, V = 7 };

struct setup {
    mega_context *context;
    struct mega_store store;
    struct mega_transformer model;
    mega_run *run;
    int32_t ids[B * T];
};

/* a small decoder; the test changes what it is about */
static struct mega_transformer_options decoder(void)
{
    return (struct mega_transformer_options){ .vocabulary = V,
        .width = 8,
        .plan = { .layers = 2 },
        .ffn = { .each = 12 },
        .longest = T,
        .heads = { .each = 2 },
        .chunk = { .each = -1 },
        .positions = MEGA_POSITIONS_LEARNED,
        .position_scale = 1,
        .act = MEGA_ACT_GELU,
        .norm_eps = 1e-5,
        .attention.rotary = { .base = 10000, .factor = 1, .interleaved = true },
        .causal = true,
        .up_bias = true,
        .down_bias = true,
        .norm_affine = true };
}

static mega_status declare(struct setup *s, const struct mega_transformer_options *o)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_transformer_build(&b, &s->model, o);
    return b.status;
}

static void open(struct setup *s, const struct mega_transformer_options *o)
{
    struct mega_rng g;
    assert_int_equal(declare(s, o), MEGA_OK);
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 11);
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T; i++) s->ids[i] = (int32_t)mega_rng_below(&g, V);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

/* logits of places from ... from+n-1 go where they belong in y [B, T, V] */
static void pass(
    struct setup *s, mega_stream *stream, const int32_t *doc, int64_t from, int64_t n, float *y)
{
    mega_run_begin(s->run, &(struct mega_run_args){ .stream = stream });
    mega_tensor *ids = mega_run_tensor(s->run, MEGA_I32, 2, (int64_t[]){ B, n });
    for (int64_t i = 0; i < B * n; i++)
        ((int32_t *)ids->data)[i] = s->ids[i / n * T + from + i % n];
    struct mega_rows rows = { .B = B, .T = n, .doc = doc };
    mega_tensor *out =
        mega_transformer_run(s->run, &s->model, ids, mega_run_rows(s->run, &rows));
    assert_non_null(out);
    for (int64_t b = 0; b < B; b++)
        memcpy(y + (b * T + from) * V, (float *)out->data + b * n * V, (size_t)(n * V) * 4);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

static void assert_near(const float *a, const float *b)
{
    for (int i = 0; i < B * T * V; i++) assert_true(fabsf(a[i] - b[i]) < 2e-5f);
}

static void each_position(void (*test)(const struct mega_transformer_options *))
{
    for (int positions = 0; positions <= MEGA_POSITIONS_SCALED_SINUSOIDAL; positions++)
        for (int placement = 0; placement <= MEGA_PLACEMENT_NONE; placement++) {
            struct mega_transformer_options o = decoder();
            o.positions = positions;
            o.placement = placement;
            if (!positions) o.attention.rotary.dims = 4;
            o.gated = placement % 2;
            o.norm = placement % 3;
            test(&o);
        }
}

static void compare_stream(const struct mega_transformer_options *o)
{
    static float whole[B * T * V], pieces[B * T * V];
    struct setup s;
    open(&s, o);
    pass(&s, NULL, NULL, 0, T, whole);
    for (int64_t each = 1; each <= 5; each += 4) {
        mega_stream *stream;
        assert_int_equal(mega_stream_new(&stream, &s.store, B, each, T), MEGA_OK);
        for (int64_t at = 0; at < T; at += each)
            pass(&s, stream, NULL, at, at + each < T ? each : T - at, pieces);
        mega_stream_free(stream);
        assert_near(whole, pieces);
    }
    done(&s);
}

static void a_stream_equals_the_whole(void **state)
{
    (void)state;
    each_position(compare_stream);
}

static void compare_documents(const struct mega_transformer_options *o)
{
    static const int64_t starts[] = { 0, 5, 6, T };
    static float packed[B * T * V], alone[B * T * V];
    struct setup s;
    int32_t doc[B * T];
    open(&s, o);
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 5 ? 0 : i % T < 6 ? 5 : 6;
    pass(&s, NULL, doc, 0, T, packed);
    for (int d = 0; d < 3; d++)
        pass(&s, NULL, NULL, starts[d], starts[d + 1] - starts[d], alone);
    assert_near(packed, alone);
    done(&s);
}

static void documents_packed_equal_documents_alone(void **state)
{
    (void)state;
    each_position(compare_documents);
}

static void an_encoder_without_positions_does_not_know_the_order(void **state)
{
    (void)state;
    static float y[B * T * V], turned[B * T * V];
    struct setup s;
    struct mega_transformer_options o = decoder();
    o.causal = false;
    o.positions = MEGA_POSITIONS_NONE;
    open(&s, &o);
    pass(&s, NULL, NULL, 0, T, y);
    for (int b = 0; b < B; b++)
        for (int t = 0; t < T / 2; t++) {
            int32_t *first = &s.ids[b * T + t], *last = &s.ids[b * T + T - 1 - t], id = *first;
            *first = *last;
            *last = id;
        }
    pass(&s, NULL, NULL, 0, T, turned);
    for (int i = 0; i < B * T * V; i++) {
        int row = i / V, t = row % T;
        assert_true(fabsf(y[i] - turned[(row - t + T - 1 - t) * V + i % V]) < 2e-5f);
    }
    done(&s);
}

static void refuses(const struct mega_transformer_options *o, const char *message)
{
    struct setup s;
    assert_int_equal(declare(&s, o), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), message));
    done(&s);
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct mega_transformer_options o = decoder();
    o.kv_heads.each = 3;
    refuses(&o, "heads is 2 and kv_heads is 3");
    o = decoder();
    o.attention.rotary.dims = 6;
    refuses(&o, "rotary_dims is 6, expected an even number up to the 4 channels of a head");
    o = decoder();
    o.norm = MEGA_BATCHNORM;
    refuses(&o, "norm is over the batch");
    o = decoder();
    o.width = 9;
    o.keys.each = 4;
    o.positions = MEGA_POSITIONS_SINUSOIDAL;
    refuses(&o, "width is 9, expected an even number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_equals_the_whole),
        cmocka_unit_test(documents_packed_equal_documents_alone),
        cmocka_unit_test(an_encoder_without_positions_does_not_know_the_order),
        cmocka_unit_test(options_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
