/* What a place sees of places before and after it: Transformer-XL's relative scores where all
 * see all, and memory tokens before every segment that remembers earlier ones. */
#include "model/small_transformer.h"

enum { N = B * T * V };

/* the same numbers for parameters of the same names */
static void copy(struct small *to, const struct small *from)
{
    for (struct mega_param *p = to->store.first; p; p = p->next) {
        const struct mega_param *f = mega_store_find(&from->store, p->name);
        if (f) memcpy(p->value.data, f->value.data, (size_t)p->count * sizeof(float));
    }
}

static void logits(struct small *s, float *y)
{
    small_pass(s, NULL, NULL, 0, T, y);
}

/* ---- relative scores ---- */

/* the sines' columns of xl_r times -1: what a text read backwards has of distances */
static void turn_sines(struct small *s, int layers)
{
    char name[64];
    for (int l = 0; l < layers; l++) {
        snprintf(name, sizeof name, "sub.%d.attn.xl_r.weight", 2 * l);
        mega_tensor *w = &mega_store_find(&s->store, name)->value;
        for (int64_t i = 0; i < w->dim[0]; i++)
            for (int64_t k = 0; k < w->dim[1] / 2; k++) mega_put(w, i, k, -mega_get(w, i, k));
    }
}

/* an encoder reads a text backwards as forwards with all distances' signs turned */
static void relative_scores_of_an_encoder_look_both_ways(void **state)
{
    (void)state;
    static const char *const forms[] = { "positions=none rel_pos=xl",
        "positions=none rel_pos=xl kv_heads=1 attn_exec=strip",
        "positions=none rel_pos=xl max_attend_past=3", "positions=none rel_pos=xl attn_fn=topk",
        "positions=none rel_pos=xl attn_talking_heads=pre" };
    static float one[N], back[N], turned[N];
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        struct small s;
        small_open(&s, false, forms[k]);
        logits(&s, one);
        for (int b = 0; b < B; b++)
            for (int t = 0; t < T / 2; t++) {
                int32_t id = s.ids[b * T + t];
                s.ids[b * T + t] = s.ids[b * T + T - 1 - t];
                s.ids[b * T + T - 1 - t] = id;
            }
        logits(&s, turned);
        turn_sines(&s, 2);
        logits(&s, back);
        double apart = 0;
        for (int i = 0; i < N; i++) {
            int row = i / V, there = row / T * T + T - 1 - row % T;
            apart = fmax(apart, fabs((double)(turned[there * V + i % V] - one[i])));
            if (!(fabsf(back[there * V + i % V] - one[i]) < 3e-5f * (1 + fabsf(one[i]))))
                fail_msg("%s: number %d is %g, expected %g", forms[k], i,
                    (double)back[there * V + i % V], (double)one[i]);
        }
        assert_true(apart > 1e-3); /* the signs matter */
        small_close(&s);
    }
}

/* a query that stands last sees of both the same */
static void the_last_place_of_an_encoder_is_that_of_a_decoder(void **state)
{
    (void)state;
    static float both[N], past[N];
    struct small s, t;
    small_open(&s, false, "positions=none rel_pos=xl layers=1");
    small_open(&t, true, "positions=none rel_pos=xl layers=1");
    copy(&t, &s);
    memcpy(t.ids, s.ids, sizeof s.ids);
    logits(&s, both);
    logits(&t, past);
    for (int b = 0; b < B; b++)
        for (int v = 0; v < V; v++) {
            int i = (b * T + T - 1) * V + v;
            assert_true(fabsf(both[i] - past[i]) < 3e-5f * (1 + fabsf(past[i])));
        }
    assert_true(fabsf(both[0] - past[0]) > 1e-4f);
    small_close(&s);
    small_close(&t);
}

/* ---- memory tokens before every segment ---- */

enum { FIRST = 5, R = 2, WIDTH = 8 }; /* places of the first segment; memory tokens; D */

/* places from ... to - 1 of row b as the stack gets them, from row `at` on of x */
static int64_t put_tokens(
    const struct small *s, mega_tensor *x, int b, int64_t from, int64_t to, int64_t at)
{
    const mega_tensor *table = &mega_store_find(&s->store, "tok_emb.weight")->value;
    for (int64_t t = from; t < to; t++, at++)
        for (int j = 0; j < WIDTH; j++)
            mega_put(x, at, j, mega_get(table, s->ids[b * T + t], j));
    return at;
}

static int64_t put_memory(const struct small *s, mega_tensor *x, int64_t at)
{
    const mega_tensor *memory = &mega_store_find(&s->store, "memory_tokens")->value;
    for (int i = 0; i < R; i++, at++)
        for (int j = 0; j < WIDTH; j++) mega_put(x, at, j, mega_get(memory, i, j));
    return at;
}

/* a stack without segments over all that places from ... to - 1 see, in its order; their logits
 */
static void by_hand(
    struct small *plain, const struct small *s, int64_t from, int64_t to, float *y)
{
    int64_t n = to + R;
    struct mega_rows rows = { .B = B, .T = n };
    mega_run_begin(plain->run, &(struct mega_run_args){ 0 });
    struct mega_transformer_inputs in = { .embedded = mega_run_tensor(plain->run, MEGA_F32, 3,
                                              (int64_t[]){ B, n, WIDTH }) };
    for (int b = 0; b < B; b++) {
        int64_t at = put_tokens(s, in.embedded, b, 0, from, b * n);
        put_tokens(s, in.embedded, b, from, to, put_memory(s, in.embedded, at));
    }
    mega_tensor *x = mega_transformer_features_of(
        plain->run, &plain->model, &in, mega_run_rows(plain->run, &rows), NULL);
    mega_tensor *out = x ? mega_transformer_head_run(plain->run, &plain->model.head, x) : NULL;
    for (int64_t b = 0; out && b < B; b++)
        for (int64_t t = from; t < to; t++)
            for (int v = 0; v < V; v++)
                y[(b * T + t) * V + v] = (float)mega_get(out, b * n + t + R, v);
    if (mega_run_end(plain->run)) fail_msg("%s", mega_message());
}

static void segments_begin_with_memory_tokens(void **state)
{
    (void)state;
    static const char *const kinds[] = { "", " rel_pos=t5", " rotary=rope kv_heads=1",
        " rel_pos=xl", " rel_pos=alibi attn_num_mem_kv=3", " attn_exec=strip rel_pos=xl" };
    static float pieces[N], want[N];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char with[192], without[128];
        struct small s, plain;
        mega_stream *stream;
        snprintf(without, sizeof without, "positions=none layers=1%s", kinds[k]);
        snprintf(with, sizeof with, "%s max_mem_len=12 num_memory_tokens=2", without);
        small_open(&s, true, with);
        small_open(&plain, true, without);
        copy(&plain, &s);
        assert_int_equal(mega_stream_new(&stream, &s.store, B, T - FIRST, 0), MEGA_OK);
        small_pass(&s, stream, NULL, 0, FIRST, pieces);
        small_pass(&s, stream, NULL, FIRST, T - FIRST, pieces);
        assert_int_equal(mega_stream_places(stream)[0], T); /* of tokens alone */
        mega_stream_free(stream);
        by_hand(&plain, &s, 0, FIRST, want);
        by_hand(&plain, &s, FIRST, T, want);
        small_assert_near(with, want, pieces);
        small_close(&s);
        small_close(&plain);
    }
}

/* a document that began before goes on, one that begins inside a segment sees itself alone */
static void documents_of_segments_begin_with_memory_tokens(void **state)
{
    (void)state;
    static float plain[N], packed[N], alone[N];
    enum { LATE = 8 };
    int32_t doc[B * (T - FIRST)];
    struct small s;
    small_open(&s, true, "positions=none rel_pos=t5 max_mem_len=12 num_memory_tokens=2");
    for (int i = 0; i < B * (T - FIRST); i++)
        doc[i] = i % (T - FIRST) < LATE - FIRST ? -FIRST : LATE - FIRST;
    for (int way = 0; way < 2; way++) {
        mega_stream *stream;
        float *y = way ? packed : plain;
        assert_int_equal(mega_stream_new(&stream, &s.store, B, T, 0), MEGA_OK);
        small_pass(&s, stream, NULL, 0, FIRST, y);
        small_pass(&s, stream, way ? doc : NULL, FIRST, T - FIRST, y);
        mega_stream_free(stream);
    }
    memcpy(alone, plain, sizeof plain);
    small_pass(&s, NULL, NULL, LATE, T - LATE, alone);
    small_assert_near("documents", alone, packed);
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relative_scores_of_an_encoder_look_both_ways),
        cmocka_unit_test(the_last_place_of_an_encoder_is_that_of_a_decoder),
        cmocka_unit_test(segments_begin_with_memory_tokens),
        cmocka_unit_test(documents_of_segments_begin_with_memory_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
