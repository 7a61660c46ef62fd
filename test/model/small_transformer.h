/* A small Transformer for tests, described by settings as a recipe has them. */
#ifndef TEST_MODEL_SMALL_TRANSFORMER_H
#define TEST_MODEL_SMALL_TRANSFORMER_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "format/node.h"
#include "model/transformer_options.h"
#include "op/contracts.h"

#include "cmocka_all.h"

enum { B = 2, T = 12, V = 7 };

struct small {
    mega_context *context;
    struct mega_store store;
    struct mega_arena words;
    struct mega_transformer_options options;
    struct mega_transformer model;
    mega_run *run;
    int32_t ids[B * T];
};

/* "norm=rmsnorm placement=post": on top of sizes that are small */
static inline void small_set(struct small *s, const char *settings)
{
    char name[64], value[64];
    for (int n; sscanf(settings, " %63[^=]=%63s%n", name, value, &n) == 2; settings += n)
        if (mega_option_assign(&s->words, mega_transformer_table, name, value, &s->options))
            fail_msg("%s", mega_message());
}

/* `by_layer` (NULL: none) is an option's value with blanks in it */
static inline mega_status small_declare_with(
    struct small *s, bool causal, const char *settings, const char *by_layer)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    assert_int_equal(mega_arena_init(&s->words, (size_t)1 << 20), MEGA_OK);
    mega_option_defaults(mega_transformer_table, &s->options);
    small_set(s, "width=8 layers=2 ffn=12 heads=2 longest=12 positions=learned tied=false "
                 "rotary_interleaved=true");
    small_set(s, settings);
    s->options.by_layer = by_layer;
    s->options.vocabulary = V;
    s->options.causal = causal;
    mega_build b = { .store = &s->store };
    mega_transformer_build(&b, &s->model, &s->options);
    return b.status;
}

static inline mega_status small_declare(struct small *s, bool causal, const char *settings)
{
    return small_declare_with(s, causal, settings, NULL);
}

static inline void small_open_with(
    struct small *s, bool causal, const char *settings, const char *by_layer)
{
    struct mega_rng g;
    if (small_declare_with(s, causal, settings, by_layer))
        fail_msg("%s %s: %s", settings, by_layer ? by_layer : "", mega_message());
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 11);
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T; i++) s->ids[i] = (int32_t)mega_rng_below(&g, V);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static inline void small_open(struct small *s, bool causal, const char *settings)
{
    small_open_with(s, causal, settings, NULL);
}

static inline void small_close(struct small *s)
{
    mega_run_free(s->run);
    mega_arena_done(&s->words);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

/* logits of places from ... from+n-1 go where they belong in y [B, T, V] */
static inline void small_pass(
    struct small *s, mega_stream *stream, const int32_t *doc, int64_t from, int64_t n, float *y)
{
    mega_run_begin(s->run, &(struct mega_run_args){ .stream = stream });
    mega_tensor *ids = mega_run_tensor(s->run, MEGA_I32, 2, (int64_t[]){ B, n });
    for (int64_t i = 0; i < B * n; i++)
        ((int32_t *)ids->data)[i] = s->ids[i / n * T + from + i % n];
    struct mega_rows rows = { .B = B, .T = n, .doc = doc };
    mega_tensor *out =
        mega_transformer_run(s->run, &s->model, ids, mega_run_rows(s->run, &rows));
    if (!out) {
        mega_run_end(s->run);
        fail_msg("%s", mega_message());
    }
    for (int64_t i = 0; i < B * n * V; i++)
        y[(i / V / n * T + from + i / V % n) * V + i % V] = (float)mega_get(out, i / V, i % V);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

static inline void small_assert_near(const char *what, const float *a, const float *b)
{
    for (int i = 0; i < B * T * V; i++)
        if (!(fabsf(a[i] - b[i]) < 3e-5f * (1 + fabsf(a[i]))))
            fail_msg("%s: number %d is %g, expected %g", what, i, (double)b[i], (double)a[i]);
}

/* a text in pieces of one place and of five is what it is at once */
static inline void small_assert_streams(const char *settings, const char *by_layer)
{
    static float whole[B * T * V], pieces[B * T * V];
    struct small s;
    small_open_with(&s, true, settings, by_layer);
    small_pass(&s, NULL, NULL, 0, T, whole);
    for (int64_t each = 1; each <= 5; each += 4) {
        mega_stream *stream;
        assert_int_equal(mega_stream_new(&stream, &s.store, B, each, T), MEGA_OK);
        for (int64_t at = 0; at < T; at += each)
            small_pass(&s, stream, NULL, at, at + each < T ? each : T - at, pieces);
        mega_stream_free(stream);
        small_assert_near(settings, whole, pieces);
    }
    small_close(&s);
}

#endif
