/* Positions: what they count from, rotations and embeddings in numbers worked out by hand. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"

#include "cmocka_all.h"

enum { T = 3, D = 4 };

struct setup {
    mega_context *context;
    mega_run *run;
    mega_tensor *x; /* [1, T, D]: 1 0 1 0 at each place */
};

static void begin(struct setup *s)
{
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    s->x = mega_run_tensor(s->run, MEGA_F32, 3, (int64_t[]){ 1, T, D });
    for (int i = 0; i < T * D; i++) ((float *)s->x->data)[i] = i % 2 == 0;
}

static void end(struct setup *s, mega_status status)
{
    assert_int_equal(mega_run_end(s->run), status);
    mega_run_free(s->run);
    mega_context_free(s->context);
}

static mega_tensor *rotary(struct setup *s, const struct mega_rows *rows, bool interleaved)
{
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = 1;
    a.base = 10000;
    a.factor = 1;
    a.interleaved = interleaved;
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { s->x }, .attr = &a, .rows = rows },
        NULL);
}

static mega_tensor *embed(struct setup *s, const struct mega_rows *rows,
    enum mega_position_kind kind, mega_tensor *table)
{
    struct mega_attr_position_embedding a;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.scale = 1;
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_position_embedding,
            .in = { s->x, table },
            .attr = &a,
            .rows = rows },
        NULL);
}

static void assert_row(const mega_tensor *y, int64_t r, const double want[D])
{
    assert_non_null(y);
    for (int d = 0; d < D; d++) assert_true(fabs(mega_get(y, r, d) - want[d]) < 1e-6);
}

static void pairs_turn_by_their_frequency(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    struct mega_rows rows = { .B = 1, .T = T };
    /* frequencies 1 and 0.01 */
    mega_tensor *y = rotary(&s, &rows, true);
    assert_row(y, 0, (double[]){ 1, 0, 1, 0 });
    assert_row(y, 2, (double[]){ cos(2), sin(2), cos(0.02), sin(0.02) });
    /* pairs (1, 1) and (0, 0) */
    y = rotary(&s, &rows, false);
    assert_row(y, 1, (double[]){ cos(1) - sin(1), 0, cos(1) + sin(1), 0 });
    end(&s, MEGA_OK);
}

static void sines_and_cosines_are_added(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    struct mega_rows rows = { .B = 1, .T = T };
    mega_tensor *y = embed(&s, &rows, MEGA_POSITION_SINUSOIDAL, NULL);
    assert_row(y, 1, (double[]){ 1 + sin(1), cos(1), 1 + sin(0.01), cos(0.01) });
    y = embed(&s, &rows, MEGA_POSITION_HALVES, NULL);
    assert_row(y, 1, (double[]){ 1 + sin(1), sin(0.01), 1 + cos(1), cos(0.01) });
    end(&s, MEGA_OK);
}

static void documents_streams_and_left_padding_count_from_their_start(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    int32_t doc[T] = { 0, 0, 2 }, place[1] = { 5 }, real[T] = { 0, 1, 1 };
    struct mega_rows documents = { .B = 1, .T = T, .doc = doc },
                     stream = { .B = 1, .T = T, .place = place },
                     padded = { .B = 1, .T = T, .real = real };
    assert_row(rotary(&s, &documents, true), 2, (double[]){ 1, 0, 1, 0 });
    assert_row(
        rotary(&s, &stream, true), 1, (double[]){ cos(6), sin(6), cos(0.06), sin(0.06) });
    assert_row(rotary(&s, &padded, true), 1, (double[]){ 1, 0, 1, 0 });
    end(&s, MEGA_OK);
}

static void a_position_beyond_the_table_is_refused(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    struct mega_rows rows = { .B = 1, .T = T };
    mega_tensor *table = mega_run_tensor(s.run, MEGA_F32, 2, (int64_t[]){ 2, D });
    assert_null(embed(&s, &rows, MEGA_POSITION_LEARNED, table));
    assert_non_null(strstr(mega_message(), "position 2, but the table covers 2"));
    end(&s, MEGA_BAD_ARGUMENT);
    /* padding at the end needs no position */
    begin(&s);
    rows.len = (int32_t[]){ 2 };
    table = mega_run_tensor(s.run, MEGA_F32, 2, (int64_t[]){ 2, D });
    for (int i = 0; i < 2 * D; i++) ((float *)table->data)[i] = (float)i;
    mega_tensor *y = embed(&s, &rows, MEGA_POSITION_LEARNED, table);
    assert_row(y, 1, (double[]){ 5, 5, 7, 7 });
    assert_row(y, 2, (double[]){ 1, 0, 1, 0 });
    end(&s, MEGA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_turn_by_their_frequency),
        cmocka_unit_test(sines_and_cosines_are_added),
        cmocka_unit_test(documents_streams_and_left_padding_count_from_their_start),
        cmocka_unit_test(a_position_beyond_the_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
