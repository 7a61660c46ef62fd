/* Models for the tests of this room: small ones made here, and stories260K as it lies in the
 * data folder, read without the readers of the library. */
#ifndef MEGA_TEST_INFER_MODEL_H
#define MEGA_TEST_INFER_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "infer/stepper.h"
#include "model/transformer.h"

#include "cmocka_all.h"

struct test_model {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    struct mega_transformer transformer;
    struct mega_step_model step;
};

static inline mega_tensor *test_features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_transformer_run(r, model, ids, rows);
}

static inline void test_model_open(
    struct test_model *m, const struct mega_transformer_options *o, int threads)
{
    memset(m, 0, sizeof *m);
    struct mega_context_options c = { .threads = threads };
    assert_int_equal(mega_context_new(&m->context, &c), MEGA_OK);
    assert_int_equal(mega_store_init(&m->store), MEGA_OK);
    mega_build b = { .store = &m->store };
    mega_transformer_build(&b, &m->transformer, o);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&m->store, false), MEGA_OK);
    mega_store_fill(&m->store, 11);
    assert_int_equal(mega_run_new(&m->run, m->context), MEGA_OK);
    m->step = (struct mega_step_model){ .model = &m->transformer,
        .store = &m->store,
        .features = test_features,
        .vocabulary = o->vocabulary,
        .longest = o->longest };
}

static inline void test_model_close(struct test_model *m)
{
    mega_run_free(m->run);
    mega_store_done(&m->store);
    mega_context_free(m->context);
}

/* a decoder whose numbers are far enough apart that texts differ */
static inline void test_model_small(
    struct test_model *m, int64_t longest, int64_t chunk, int threads)
{
    struct mega_transformer_options o = { .vocabulary = 13,
        .width = 8,
        .plan = { .layers = 2 },
        .ffn = { .each = 12 },
        .longest = longest,
        .heads = { .each = 2 },
        .chunk = { .each = chunk },
        .positions = longest ? MEGA_POSITIONS_LEARNED : MEGA_POSITIONS_NONE,
        .position_scale = 1,
        .act = MEGA_ACT_GELU,
        .norm_eps = 1e-5,
        .attention.rotary = { .dims = 4, .base = 10000, .factor = 1, .interleaved = true },
        .causal = true,
        .up_bias = true,
        .down_bias = true,
        .norm_affine = true };
    test_model_open(m, &o, threads);
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < m->store.count; i++)
        m->store.value[i] += 0.4f * (float)mega_rng_normal(&g);
}

/* ---- stories260K ---- */

static inline const char *test_data(const char *name, char path[1024])
{
    const char *folder = getenv("MEGA_DATA");
    snprintf(path, 1024, "%s/%s", folder ? folder : MEGA_SOURCE "/../shared/data", name);
    return path;
}

/* the next `n` numbers into a parameter */
static inline void test_take(
    struct test_model *m, const float **from, int64_t n, const char *name, int64_t layer)
{
    char full[128];
    snprintf(full, sizeof full, name, (long long)layer);
    struct mega_param *p = mega_store_find(&m->store, full);
    assert_non_null(p);
    assert_int_equal(p->count, n);
    memcpy(p->value.data, *from, (size_t)n * sizeof **from);
    *from += n;
}

/* false: the data are not here */
static inline bool test_model_stories(struct test_model *m, int threads)
{
    char path[1024];
    struct mega_map map;
    test_data("weights/stories260K/stories260K.bin", path);
    if (!mega_path_exists(path)) return false;
    assert_int_equal(mega_map_open(&map, path), MEGA_OK);
    int32_t h[7]; /* dim, hidden, layers, heads, kv heads, vocabulary, context */
    memcpy(h, map.data, sizeof h);
    int64_t D = h[0], F = h[1], L = h[2], KV = D / h[3] * h[4];
    struct mega_transformer_options o = { .vocabulary = h[5],
        .width = D,
        .plan = { .layers = L },
        .ffn = { .each = F },
        .longest = h[6],
        .heads = { .each = h[3] },
        .kv_heads = { .each = h[4] },
        .chunk = { .each = -1 },
        .positions = MEGA_POSITIONS_NONE,
        .act = MEGA_ACT_SILU,
        .norm = MEGA_RMSNORM,
        .norm_eps = 1e-5,
        .attention.rotary = { .dims = D / h[3],
            .base = 10000,
            .factor = 1,
            .interleaved = true },
        .causal = true,
        .gated = true,
        .tied = true,
        .norm_affine = true };
    test_model_open(m, &o, threads);
    const float *from = (const float *)(const void *)(map.data + sizeof h);
    test_take(m, &from, o.vocabulary * D, "tok_emb.weight", 0);
    static const struct {
        const char *name;
        int kind; /* 0: D, 1: D x D, 2: KV x D, 3: F x D */
        int64_t first;
    } order[] = { { "sub.%lld.norm_pre.weight", 0, 0 }, { "sub.%lld.attn.q.weight", 1, 0 },
        { "sub.%lld.attn.k.weight", 2, 0 }, { "sub.%lld.attn.v.weight", 2, 0 },
        { "sub.%lld.attn.o.weight", 1, 0 }, { "sub.%lld.norm_pre.weight", 0, 1 },
        { "sub.%lld.ff.gate.weight", 3, 1 }, { "sub.%lld.ff.down.weight", 3, 1 },
        { "sub.%lld.ff.up.weight", 3, 1 } };
    int64_t sizes[] = { D, D * D, KV * D, F * D };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (int64_t l = 0; l < L; l++)
            test_take(m, &from, sizes[order[i].kind], order[i].name, 2 * l + order[i].first);
    test_take(m, &from, D, "final_norm.weight", 0);
    mega_map_close(&map);
    return true;
}

/* The piece of each id in tok512.bin, and how it is printed behind `before`. */
struct test_words {
    struct mega_map map;
    const char *piece[512];
    int32_t size[512];
};

static inline void test_words_open(struct test_words *w)
{
    char path[1024];
    assert_int_equal(
        mega_map_open(&w->map, test_data("weights/stories260K/tok512.bin", path)), MEGA_OK);
    const unsigned char *at = w->map.data + 4;
    for (int i = 0; i < 512; i++) {
        memcpy(&w->size[i], at + 4, 4);
        w->piece[i] = (const char *)at + 8;
        at += 8 + w->size[i];
    }
}

static inline void test_words_add(
    const struct test_words *w, int32_t before, int32_t id, struct mega_text *to)
{
    const char *piece = w->piece[id];
    int32_t size = w->size[id];
    unsigned byte;
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", (int)size, piece);
    if (size == 6 && sscanf(copy, "<0x%02X>", &byte) == 1)
        mega_text_add(to, "%c", (int)byte);
    else if (before == 1 && *piece == ' ')
        mega_text_add_bytes(to, piece + 1, (size_t)size - 1);
    else
        mega_text_add_bytes(to, piece, (size_t)size);
}

#endif
