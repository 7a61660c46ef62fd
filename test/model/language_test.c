/* What every language model keeps: whole = in pieces = token by token, documents packed into a
 * row = each alone, padding on either side changes nothing, and states do not grow. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/ops.h"
#include "model/model.h"

#include "cmocka_all.h"

enum { V = 13, LONGEST = 48 };

static const char *const decoders[] = {
    "decoder: mega, layers: 2, width: 12, values: 16, keys: 8, ffn: 14, ema: 3, chunk: 8",
    "decoder: mega, layers: 2, width: 12, values: 16, keys: 8, ffn: 14, ema: 3, chunk: 8, "
    "attention: laplace, bias: simple, norm: scalenorm",
    "decoder: megalodon, layers: 2, width: 12, values: 16, keys: 8, heads: 2, ffn: 14, ema: 3, "
    "chunk: 8, groups: 3, rescale: true",
    "decoder: llama, layers: 2, width: 16, heads: 4, kv_heads: 2, longest: 48",
    "decoder: gpt2, layers: 2, width: 16, heads: 4, longest: 48",
    "decoder: transformer, layers: 1, width: 16, heads: 4, ffn: 20, longest: 48, placement: "
    "pre_post, loops: 3, eval_loops: 4, exit_at: 0.7",
};
enum { DECODERS = sizeof decoders / sizeof *decoders };

struct setup {
    mega_context *context;
    mega_model *model;
    mega_run *run;
};

static struct mega_model_config configure(const char *decoder, int64_t vocabulary)
{
    char text[512];
    struct mega_document d;
    struct mega_model_config config;
    snprintf(text, sizeof text, "model: { %s }\n", decoder);
    assert_int_equal(mega_yaml_parse(&d, "test", text, strlen(text)), MEGA_OK);
    assert_int_equal(mega_model_config_read(
                         &config, MEGA_LANGUAGE_MODEL, &d, mega_node_find(d.root, "model")),
        MEGA_OK);
    mega_document_done(&d);
    config.language.vocabulary = (struct mega_vocabulary){ vocabulary, -1 };
    return config;
}

static void open(struct setup *s, const char *decoder)
{
    struct mega_model_config config = configure(decoder, V);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_model_new(&s->model, &config, true, true), MEGA_OK);
    mega_store_fill(&s->model->store, 3);
    /* away from constants, so that every parameter matters */
    for (struct mega_param *p = s->model->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] += (float)(0.2 * sin(1.7 * (double)i + 0.3));
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_model_free(s->model);
    mega_context_free(s->context);
}

static int32_t token(int64_t i)
{
    return (int32_t)((i * 7 + i * i * 3) % V);
}

static mega_tensor *ids_of(struct setup *s, int64_t B, int64_t T, const int32_t *id)
{
    mega_tensor *t = mega_run_tensor(s->run, MEGA_I32, 2, (int64_t[]){ B, T });
    memcpy(t->data, id, (size_t)(B * T) * sizeof *id);
    return t;
}

/* logits [rows->B * rows->T, V] into y */
static void logits(struct setup *s, const struct mega_rows *rows, const int32_t *id,
    mega_stream *stream, double *y)
{
    const struct mega_language_model *m = &s->model->language;
    assert_int_equal(
        mega_run_begin(s->run, &(struct mega_run_args){ .stream = stream }), MEGA_OK);
    mega_tensor *x = mega_language_model_features(
        s->run, m, ids_of(s, rows->B, rows->T, id), mega_run_rows(s->run, rows));
    mega_tensor *out = mega_language_model_logits(s->run, m, x);
    assert_non_null(out);
    for (int64_t i = 0; i < rows->B * rows->T * V; i++) y[i] = mega_get(out, i / V, i % V);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

static void assert_same(const char *what, const double *got, const double *want, int64_t n)
{
    double most = 1e-3, worst = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(got[i] - want[i]));
    if (!(worst <= 1e-5 * most)) fail_msg("%s: %.3g of %.3g away", what, worst, most);
}

static void whole_is_pieces_is_token_by_token(void **state)
{
    (void)state;
    enum { T = 37 };
    static const int64_t pieces[] = { 1, 3, 8, 11, 37 };
    int32_t id[T];
    double whole[T * V], y[T * V];
    for (int t = 0; t < T; t++) id[t] = token(t);
    for (int k = 0; k < DECODERS; k++) {
        struct setup s;
        open(&s, decoders[k]);
        logits(&s, &(struct mega_rows){ .B = 1, .T = T }, id, NULL, whole);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            mega_stream *stream;
            assert_int_equal(
                mega_stream_new(&stream, &s.model->store, 1, pieces[p], LONGEST), MEGA_OK);
            for (int64_t at = 0; at < T; at += pieces[p]) {
                int64_t n = T - at < pieces[p] ? T - at : pieces[p];
                logits(&s, &(struct mega_rows){ .B = 1, .T = n }, id + at, stream, y + at * V);
            }
            assert_same(decoders[k], y, whole, T * V);
            mega_stream_free(stream);
        }
        done(&s);
    }
}

/* documents of different lengths, none a multiple of the chunk */
static const int64_t lengths[] = { 13, 5, 8, 11 };
enum { DOCUMENTS = 4, PACKED = 37 };

static void pack(int32_t *id, int32_t *doc)
{
    int64_t at = 0;
    for (int d = 0; d < DOCUMENTS; d++)
        for (int64_t t = 0, from = at; t < lengths[d]; t++, at++) {
            id[at] = token(t + 5 * d);
            doc[at] = (int32_t)from;
        }
}

/* the loss of n places whose next token is known within each document; gradients are added to
 */
static void learn(
    struct setup *s, const struct mega_rows *rows, const int32_t *id, const int32_t *doc)
{
    const struct mega_language_model *m = &s->model->language;
    int64_t n = rows->T;
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_tensor *next = mega_run_tensor(s->run, MEGA_I32, 1, &n);
    for (int64_t t = 0; t < n; t++)
        ((int32_t *)next->data)[t] =
            t + 1 < n && (!doc || doc[t + 1] == doc[t]) ? id[t + 1] : -1;
    mega_tensor *x = mega_language_model_features(s->run, m, ids_of(s, 1, n, id), rows);
    mega_tensor *loss = mega_language_model_loss(s->run, m, x, next, rows, 0, NULL);
    mega_run_seed(s->run, loss, 1);
    mega_run_backward(s->run);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

static double *gradients(const struct setup *s)
{
    double *g = calloc((size_t)s->model->store.count, sizeof *g);
    for (int64_t i = 0; i < s->model->store.count; i++)
        g[i] = (double)s->model->store.gradient[i];
    return g;
}

static void packed_documents_are_each_alone(void **state)
{
    (void)state;
    int32_t id[PACKED], doc[PACKED];
    double packed[PACKED * V], alone[PACKED * V];
    pack(id, doc);
    struct mega_rows all = { .B = 1, .T = PACKED, .doc = doc };
    for (int k = 0; k < DECODERS; k++) {
        struct setup s, t;
        open(&s, decoders[k]);
        open(&t, decoders[k]);
        logits(&s, &all, id, NULL, packed);
        learn(&s, &all, id, doc);
        for (int64_t d = 0, at = 0; d < DOCUMENTS; at += lengths[d++]) {
            struct mega_rows one = { .B = 1, .T = lengths[d] };
            logits(&t, &one, id + at, NULL, alone + at * V);
            learn(&t, &one, id + at, NULL);
        }
        double *a = gradients(&s), *b = gradients(&t);
        assert_same(decoders[k], packed, alone, PACKED * V);
        assert_same(decoders[k], a, b, s.model->store.count);
        free(a);
        free(b);
        done(&s);
        done(&t);
    }
}

static void padding_on_either_side_changes_nothing(void **state)
{
    (void)state;
    enum { B = 3, T = 29 };
    static const int64_t length[B] = { 29, 11, 3 };
    int32_t id[B * T], real[B * T], len[B];
    double y[B * T * V], alone[T * V];
    for (int k = 0; k < DECODERS; k++) {
        struct setup s;
        open(&s, decoders[k]);
        for (int left = 0; left < 2; left++) {
            for (int64_t b = 0; b < B; b++) {
                int64_t from = left ? T - length[b] : 0;
                len[b] = (int32_t)(left ? T : length[b]);
                for (int64_t t = 0; t < T; t++) {
                    bool is = t >= from && t < from + length[b];
                    real[b * T + t] = is;
                    id[b * T + t] = is ? token(t - from + 9 * b) : 1;
                }
            }
            struct mega_rows rows = { .B = B, .T = T, .len = len, .real = left ? real : NULL };
            logits(&s, &rows, id, NULL, y);
            for (int64_t b = 0; b < B; b++) {
                int64_t from = left ? T - length[b] : 0;
                logits(&s, &(struct mega_rows){ .B = 1, .T = length[b] }, id + b * T + from,
                    NULL, alone);
                assert_same(decoders[k], y + (b * T + from) * V, alone, length[b] * V);
            }
        }
        done(&s);
    }
}

static void states_do_not_grow(void **state)
{
    (void)state;
    enum { PIECE = 64 };
    int32_t id[PIECE];
    double *y = calloc(PIECE * V, sizeof *y);
    for (int t = 0; t < PIECE; t++) id[t] = token(t);
    for (int k = 0; k < 3; k++) {
        struct setup s;
        mega_stream *stream;
        open(&s, decoders[k]);
        assert_int_equal(mega_stream_new(&stream, &s.model->store, 1, PIECE, 0), MEGA_OK);
        size_t before = mega_stream_size(stream);
        for (int i = 0; i < 40; i++)
            logits(&s, &(struct mega_rows){ .B = 1, .T = PIECE }, id, stream, y);
        assert_int_equal(mega_stream_size(stream), before);
        for (int i = 0; i < PIECE * V; i++) assert_true(isfinite(y[i]));
        mega_stream_free(stream);
        done(&s);
    }
    free(y);
}

/* Megalodon section 6.1, and Llama-2 7B and GPT-2, with the vocabularies that they have */
static const struct {
    const char *decoder;
    int64_t vocabulary, parameters;
} published[] = {
    { "decoder: megalodon, layers: 12, width: 1024, heads: 1, keys: 256, values: 2048, ffn: "
      "2560, "
      "chunk: 2048, groups: 32, swiglu: false",
        32000, 220627968 },
    { "decoder: megalodon, layers: 24, width: 2048, heads: 2, keys: 512, values: 4096, ffn: "
      "4864, "
      "chunk: 2048, groups: 64, swiglu: false",
        32000, 1342832640 },
    { "decoder: megalodon, layers: 24, width: 2048, heads: 2, keys: 512, values: 4096, ffn: "
      "3584, "
      "chunk: 2048, groups: 64, swiglu: true, scale_embedding: true, tied: true",
        32000, 1327628288 },
    { "decoder: megalodon, layers: 32, width: 4096, heads: 4, keys: 1024, values: 8192, ffn: "
      "11264, chunk: 2048, groups: 64, swiglu: false",
        32000, 7117381632 },
    { "decoder: megalodon, layers: 32, width: 4096, heads: 4, keys: 1024, values: 8192, ffn: "
      "8192, chunk: 4096, groups: 64, swiglu: true, rotary_base: 1e5",
        32000, 7385817088 },
    { "decoder: llama, layers: 32, width: 4096, heads: 32, ffn: 11008, longest: 4096", 32000,
        6738415616 },
    { "decoder: gpt2", 50257, 124439808 },
};

static void published_sizes_have_their_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        mega_model *m;
        struct mega_model_config config =
            configure(published[i].decoder, published[i].vocabulary);
        assert_int_equal(mega_model_new(&m, &config, false, false), MEGA_OK);
        if (mega_model_parameters(m) != published[i].parameters)
            fail_msg("%s: %lld parameters", published[i].decoder,
                (long long)mega_model_parameters(m));
        mega_model_free(m);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_is_pieces_is_token_by_token),
        cmocka_unit_test(packed_documents_are_each_alone),
        cmocka_unit_test(padding_on_either_side_changes_nothing),
        cmocka_unit_test(states_do_not_grow),
        cmocka_unit_test(published_sizes_have_their_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
