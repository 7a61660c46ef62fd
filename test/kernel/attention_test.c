/* What the common examples do not reach in the attention kernel: windows of many blocks of
 * queries and many tiles of keys, in rows with padding, holes, documents and a past. */
#include <stdio.h>

#include "kernel/check.h"
#include "kernel/example_parts.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_attention;

enum { B = 2, T = 430, Z = 5, E = 9 };

struct fixture {
    struct mega_check check;
    struct mega_example e;
    struct mega_maker m;
    struct mega_attr_attention *a;
    struct mega_rows rows;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .rows = { .B = B, .T = T } };
    assert_int_equal(mega_check_init(&f->check), MEGA_OK);
    f->e = (struct mega_example){ .call = { .op = &mega_op_attention, .rows = &f->rows },
        .judge = &mega_op_attention.reference,
        .wants = 15,
        .gives = 1,
        .tolerance = 1e-5 };
    f->m = (struct mega_maker){ .e = &f->e, .arena = &f->check.example, .dtype = MEGA_F32 };
    mega_rng_start(&f->m.rng, 1, 2);
    f->a = mega_make_attr(&f->m);
    f->a->chunk = -1;
    int64_t q[] = { B, T, Z }, v[] = { B, T, E }, bias = 2 * 1000 - 1;
    f->e.call.in[MEGA_ATTENTION_Q] = mega_make_param(&f->m, 3, q, 0, 1);
    f->e.call.in[MEGA_ATTENTION_K] = mega_make_param(&f->m, 3, q, 0, 1);
    f->e.call.in[MEGA_ATTENTION_V] = mega_make_param(&f->m, 3, v, 0, 1);
    f->e.call.in[MEGA_ATTENTION_BIAS] = mega_make_param(&f->m, 1, &bias, 0, 1);
}

static int32_t *integers(struct fixture *f, int64_t n)
{
    return mega_arena_zeroed(&f->check.example, (size_t)n * sizeof(int32_t));
}

/* with all three functions, seeing the future or not */
static void holds(struct fixture *f, bool causal_only)
{
    for (int i = 0; i < 3; i++)
        for (int causal = causal_only; causal < 2; causal++) {
            f->a->fn = (enum mega_attention_fn)i;
            f->a->causal = causal;
            snprintf(f->e.text, sizeof f->e.text, "function %d, causal %d", i, causal);
            if (mega_check_all(&f->check, &f->e)) fail_msg("%s", mega_message());
        }
    assert_true(f->check.accepted >= 3);
    mega_check_done(&f->check);
}

static void whole_rows_are_windows_of_many_tiles(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    holds(&f, false);
}

static void dropout_draws_the_same_in_every_tile(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.a->dropout = 0.3;
    f.e.call.mode = MEGA_RUN_TRAIN;
    f.e.call.now = (struct mega_now){ 7, 3 };
    holds(&f, false);
}

/* q, k and v of H heads and G of keys and values */
static void cut_into_heads(struct fixture *f, int64_t H, int64_t G)
{
    int64_t q[] = { B, T, H * Z }, k[] = { B, T, G * Z }, v[] = { B, T, G * E };
    f->a->heads = H;
    f->a->kv_heads = G;
    f->e.call.in[MEGA_ATTENTION_Q] = mega_make_param(&f->m, 3, q, 0, 1);
    f->e.call.in[MEGA_ATTENTION_K] = mega_make_param(&f->m, 3, k, 0, 1);
    f->e.call.in[MEGA_ATTENTION_V] = mega_make_param(&f->m, 3, v, 0, 1);
}

static void heads_keep_to_their_columns(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    cut_into_heads(&f, 3, 3);
    f.a->dropout = 0.3;
    f.e.call.mode = MEGA_RUN_TRAIN;
    f.e.call.now = (struct mega_now){ 7, 3 };
    holds(&f, false);
    begin(&f);
    cut_into_heads(&f, 4, 2);
    holds(&f, false);
}

static void padding_and_holes_are_seen_by_nobody(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    int32_t *real = integers(&f, B * T), *len = integers(&f, B);
    /* row 0: 150 places of left padding, then every seventh a hole; row 1: 135 places */
    for (int64_t i = 150; i < T; i++) real[i] = i % 7 != 0;
    for (int64_t i = 0; i < T; i++) real[T + i] = 1;
    len[0] = T;
    len[1] = 135;
    f.rows.real = real;
    f.rows.len = len;
    holds(&f, false);
    /* windows of padding alone: the first of row 0, all but the first of row 1 */
    begin(&f);
    f.rows.real = real = integers(&f, B * T);
    for (int64_t i = 200; i < T + 100; i++) real[i] = 1;
    f.a->chunk = 140;
    holds(&f, false);
}

static void documents_keep_to_themselves(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    int32_t *doc = integers(&f, B * T);
    for (int32_t i = 0; i < T; i++) doc[i] = i < 7 ? 0 : i < 290 ? 7 : i < 291 ? 290 : 291;
    /* what comes between ends a document */
    for (int32_t i = 0; i < T; i++) doc[T + i] = i < 100 || i >= 400 ? 0 : 100;
    f.rows.doc = doc;
    holds(&f, false);
}

static void a_stream_sees_its_past_round_the_end_of_the_log(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    int64_t k[] = { B, 300 + T, Z }, v[] = { B, 300 + T, E };
    f.e.call.in[MEGA_ATTENTION_PAST_K] = mega_make_param(&f.m, 3, k, 0, 1);
    f.e.call.in[MEGA_ATTENTION_PAST_V] = mega_make_param(&f.m, 3, v, 0, 1);
    int32_t *place = integers(&f, B), *fresh = integers(&f, B);
    place[0] = 875; /* of the log's 730: a window begins at 600, the log at 730 again */
    fresh[1] = 1;
    f.rows.place = place;
    f.rows.fresh = fresh;
    f.a->chunk = 300;
    holds(&f, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_rows_are_windows_of_many_tiles),
        cmocka_unit_test(dropout_draws_the_same_in_every_tile),
        cmocka_unit_test(heads_keep_to_their_columns),
        cmocka_unit_test(padding_and_holes_are_seen_by_nobody),
        cmocka_unit_test(documents_keep_to_themselves),
        cmocka_unit_test(a_stream_sees_its_past_round_the_end_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
