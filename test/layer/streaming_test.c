/* Causal Mega blocks, attention and Megalodon layers: whole = in pieces of any length = token
 * by token, ragged rows included; documents packed into one row = alone, outputs and gradients.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "layer/attention.h"
#include "layer/gated_attention.h"
#include "layer/megalodon.h"
#include "op/contracts.h"

enum { B = 3, T = 37, D = 6 };

/* what is tested: one of these */
struct options {
    const struct mega_gated_attention_options *gated;
    const struct mega_attention_options *attention;
    const struct mega_megalodon_options *megalodon;
};

struct setup {
    mega_context *context;
    struct mega_store store;
    struct options which;
    struct mega_gated_attention gated;
    struct mega_attention attention;
    struct mega_megalodon_block megalodon;
    mega_run *run;
    float x[B * T * D];
};

static mega_tensor *run_block(struct setup *s, mega_tensor *x, const struct mega_rows *rows)
{
    if (s->which.gated) return mega_gated_attention_run(s->run, &s->gated, x, rows);
    if (s->which.attention) return mega_attention_run(s->run, &s->attention, x, rows);
    return mega_megalodon_block_run(s->run, &s->megalodon, x, rows);
}

static void open(struct setup *s, const struct options *o)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    s->which = *o;
    if (o->gated) mega_gated_attention_build(&b, &s->gated, o->gated);
    if (o->attention) mega_attention_build(&b, &s->attention, o->attention);
    if (o->megalodon) mega_megalodon_block_build(&b, &s->megalodon, o->megalodon);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 11);
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T * D; i++) s->x[i] = (float)mega_rng_normal(&g);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

/* places from ... from+n-1 of every row, as an input */
static mega_tensor *piece(struct setup *s, int64_t from, int64_t n)
{
    mega_tensor *t = mega_run_tensor(s->run, mega_run_dtype(s->run), 3, (int64_t[]){ B, n, D });
    for (int64_t i = 0; i < B * n * D; i++)
        mega_put(t, i / D, i % D, (double)s->x[(i / (n * D) * T + from) * D + i % (n * D)]);
    return t;
}

static void run_whole(struct setup *s, const int32_t *len, float *y)
{
    struct mega_rows rows = { .B = B, .T = T, .len = len };
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    mega_tensor *out = run_block(s, piece(s, 0, T), &rows);
    assert_non_null(out);
    for (int64_t i = 0; i < B * T * D; i++) y[i] = (float)mega_get(out, i / D, i % D);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

/* pieces of `each` places (0: of random length); rows end at len */
static void run_pieces(struct setup *s, int64_t each, const int32_t *len, float *y)
{
    mega_stream *stream;
    struct mega_rng g;
    mega_rng_start(&g, 5, (uint64_t)each);
    assert_int_equal(mega_stream_new(&stream, &s->store, B, T, T), MEGA_OK);
    for (int64_t at = 0, n; at < T; at += n) {
        int32_t left[B];
        n = each ? each : 1 + mega_rng_below(&g, 9);
        if (n > T - at) n = T - at;
        for (int b = 0; b < B; b++)
            left[b] = (int32_t)(len[b] - at < 0 ? 0 : len[b] - at > n ? n : len[b] - at);
        mega_run_begin(s->run, &(struct mega_run_args){ .stream = stream });
        struct mega_rows rows = { .B = B, .T = n, .len = left };
        mega_tensor *out = run_block(s, piece(s, at, n), mega_run_rows(s->run, &rows));
        assert_non_null(out);
        for (int64_t i = 0; i < B * n * D; i++)
            y[(i / (n * D) * T + at) * D + i % (n * D)] = (float)mega_get(out, i / D, i % D);
        assert_int_equal(mega_run_end(s->run), MEGA_OK);
    }
    for (int b = 0; b < B; b++) assert_int_equal(mega_stream_places(stream)[b], len[b]);
    mega_stream_free(stream);
}

static double worst(const float *a, const float *b, const int32_t *len)
{
    double most = 0;
    for (int r = 0; r < B; r++)
        for (int i = 0; i < len[r] * D; i++)
            most = fmax(most, fabs((double)a[r * T * D + i] - (double)b[r * T * D + i]));
    return most;
}

/* every causal configuration of the Mega block */
static void each_gated(void (*test)(const struct options *))
{
    for (int attention = 0; attention < 3; attention++)
        for (int bias = 0; bias < 2; bias++)
            for (int64_t chunk = -1; chunk <= 8; chunk += 9)
                for (int norm = MEGA_LAYERNORM; norm <= MEGA_RMSNORM; norm++)
                    for (int prenorm = 0; prenorm < 2; prenorm++)
                        test(&(struct options){
                            .gated = &(struct mega_gated_attention_options){ .width = D,
                                .values = 7,
                                .keys = 4,
                                .states = 3,
                                .chunk = chunk,
                                .longest = T,
                                .act = MEGA_ACT_SILU,
                                .attention = attention,
                                .bias = bias,
                                .norm = norm,
                                .prenorm = prenorm,
                                .affine = true,
                                .causal = true } });
}

/* attention of one and of several heads, keys shared or not, with and without rotary positions
 */
static void each_attention(void (*test)(const struct options *))
{
    static const int64_t heads[][2] = { { 1, 1 }, { 3, 3 }, { 4, 2 }, { 3, 1 } };
    for (int h = 0; h < 4; h++)
        for (int rotary = 0; rotary < 3; rotary++)
            for (int64_t chunk = -1; chunk <= 8; chunk += 9)
                test(&(struct options){
                    .attention = &(struct mega_attention_options){ .width = D,
                        .heads = heads[h][0],
                        .kv_heads = heads[h][1],
                        .keys = 4,
                        .values = 3,
                        .chunk = chunk,
                        .causal = true,
                        .bias = true,
                        .rotary = { .dims = rotary ? 2 * rotary : 0,
                            .base = 10000,
                            .factor = 1,
                            .interleaved = rotary == 1 } } });
}

/* Megalodon layers, official and as the port has them */
static void each_megalodon(void (*test)(const struct options *))
{
    static const int64_t groups[] = { 1, 3 };
    for (int heads = 1; heads <= 2; heads++)
        for (int64_t chunk = 5; chunk <= 64; chunk += 59)
            for (int g = 0; g < 2; g++)
                for (int port = 0; port < 2; port++)
                    test(&(struct options){
                        .megalodon = &(struct mega_megalodon_options){ .width = D,
                            .keys = 4,
                            .values = 8,
                            .heads = heads,
                            .hidden = 7,
                            .states = 3,
                            .chunk = chunk,
                            .groups = groups[g],
                            .affine = true,
                            .swiglu = heads == 1,
                            .rescale = g,
                            .port = port,
                            .norm_eps = 1e-5,
                            .rotary_base = 10000 } });
}

static void each_configuration(void (*test)(const struct options *))
{
    each_gated(test);
    each_attention(test);
    each_megalodon(test);
}

static void compare_pieces_in(const struct options *o, mega_dtype dtype, double allowed)
{
    static const int32_t full[B] = { T, T, T }, ragged[B] = { 30, T, 3 };
    static float whole[B * T * D], pieces[B * T * D];
    struct setup s;
    open(&s, o);
    mega_run_set_dtype(s.run, dtype);
    const int32_t *const lens[] = { full, ragged };
    for (int k = 0; k < 2; k++) {
        run_whole(&s, lens[k], whole);
        for (int64_t each = 0; each <= 13; each += each < 2 ? 1 : 11) {
            run_pieces(&s, each, lens[k], pieces);
            assert_true(worst(whole, pieces, lens[k]) < allowed);
        }
    }
    done(&s);
}

static void compare_pieces(const struct options *o)
{
    compare_pieces_in(o, MEGA_F32, 2e-5);
}

/* A sum that differs in its last bit may round to the next bfloat16 and be that far off from
 * there on; outputs are up to 8. */
static void compare_pieces_in_bfloat16(const struct options *o)
{
    bool port = o->megalodon && o->megalodon->port;
    /* its variances are small, and divide by more: outputs are up to 18 */
    compare_pieces_in(o, MEGA_BF16, port ? 0.4 : 0.07);
}

static void pieces_of_any_length_equal_the_whole(void **state)
{
    (void)state;
    each_configuration(compare_pieces);
}

static void so_they_do_in_bfloat16(void **state)
{
    (void)state;
    each_configuration(compare_pieces_in_bfloat16);
}

/* ---- documents ---- */

enum { DOCS = 4 };
static const int64_t starts[DOCS + 1] = { 0, 8, 9, 22, T };

struct pass {
    float y[B * T * D], dx[B * T * D];
    float gradient[4096];
};

/* rows hold the same documents; packed: in one pass, else each document in a pass of its own */
static void run_documents(struct setup *s, bool packed, struct pass *out)
{
    memset(s->store.gradient, 0, (size_t)s->store.count * 4);
    for (int k = 0; k < (packed ? 1 : DOCS); k++) {
        int64_t from = packed ? 0 : starts[k], n = (packed ? T : starts[k + 1]) - from;
        mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
        int32_t doc[B * T];
        for (int b = 0; b < B; b++)
            for (int d = 0; d < DOCS; d++)
                for (int64_t t = starts[d]; t < starts[d + 1]; t++)
                    doc[b * T + t] = (int32_t)starts[d];
        struct mega_rows rows = { .B = B, .T = n, .doc = packed ? doc : NULL };
        mega_tensor *x = piece(s, from, n);
        x->wants_grad = true;
        mega_tensor *y = run_block(s, x, &rows);
        mega_run_seed_with(s->run, y, piece(s, from, n));
        mega_run_backward(s->run);
        for (int64_t b = 0; b < B; b++) {
            memcpy(
                out->y + (b * T + from) * D, (float *)y->data + b * n * D, (size_t)(n * D) * 4);
            memcpy(out->dx + (b * T + from) * D, (float *)x->grad->data + b * n * D,
                (size_t)(n * D) * 4);
        }
        assert_int_equal(mega_run_end(s->run), MEGA_OK);
    }
    assert_true(s->store.count <= 4096);
    memcpy(out->gradient, s->store.gradient, (size_t)s->store.count * 4);
}

static void assert_near(const float *a, const float *b, int64_t n)
{
    double most = 1e-3, difference = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)b[i]));
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
    }
    assert_true(difference <= 3e-5 * most);
}

static void compare_documents(const struct options *o)
{
    static struct pass packed, alone;
    struct setup s;
    open(&s, o);
    run_documents(&s, true, &packed);
    run_documents(&s, false, &alone);
    assert_near(packed.y, alone.y, B * T * D);
    assert_near(packed.dx, alone.dx, B * T * D);
    assert_near(packed.gradient, alone.gradient, s.store.count);
    done(&s);
}

static void documents_packed_equal_documents_alone(void **state)
{
    (void)state;
    each_configuration(compare_documents);
}

static void start_anew(const struct options *o)
{
    struct setup s;
    mega_stream *stream;
    float first[B * 5 * D], again[B * 5 * D];
    open(&s, o);
    assert_int_equal(mega_stream_new(&stream, &s.store, B, 8, 0), MEGA_OK);
    int32_t fresh[B] = { 0, 1, 0 };
    for (int k = 0; k < 2; k++) {
        mega_run_begin(s.run, &(struct mega_run_args){ .stream = stream });
        struct mega_rows rows = { .B = B, .T = 5, .fresh = k ? fresh : NULL };
        mega_tensor *y = run_block(&s, piece(&s, 0, 5), mega_run_rows(s.run, &rows));
        assert_int_equal(mega_run_read(s.run, y, k ? again : first), MEGA_OK);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    assert_int_equal(mega_stream_places(stream)[0], 10);
    assert_int_equal(mega_stream_places(stream)[1], 5);
    assert_memory_equal(first + 5 * D, again + 5 * D, 5 * D * sizeof(float));
    assert_memory_not_equal(first, again, 5 * D * sizeof(float));
    mega_stream_free(stream);
    done(&s);
}

static void a_fresh_row_starts_anew(void **state)
{
    (void)state;
    start_anew(&(struct options){ .gated = &(struct mega_gated_attention_options){ .width = D,
                                      .values = 7,
                                      .keys = 4,
                                      .states = 3,
                                      .chunk = 8,
                                      .longest = T,
                                      .act = MEGA_ACT_SILU,
                                      .affine = true,
                                      .causal = true } });
    each_megalodon(start_anew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_length_equal_the_whole),
        cmocka_unit_test(so_they_do_in_bfloat16),
        cmocka_unit_test(documents_packed_equal_documents_alone),
        cmocka_unit_test(a_fresh_row_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
