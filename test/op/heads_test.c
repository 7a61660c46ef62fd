/* The ops around the heads of attention, in numbers worked out by hand or published. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/ops.h"

#include "cmocka_all.h"

struct setup {
    mega_context *context;
    mega_run *run;
};

static void begin(struct setup *s)
{
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
}

static void end(struct setup *s)
{
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
    mega_run_free(s->run);
    mega_context_free(s->context);
}

static mega_tensor *given(struct setup *s, int rank, const int64_t dim[], const double *numbers)
{
    mega_tensor *t = mega_run_tensor(s->run, MEGA_F32, rank, dim);
    for (int64_t i = 0, n = mega_width(t); i < mega_count(t); i++)
        mega_put(t, i / n, i % n, numbers[i]);
    return t;
}

static void assert_numbers(const mega_tensor *t, const double *want)
{
    assert_non_null(t);
    for (int64_t i = 0, n = mega_width(t); i < mega_count(t); i++)
        if (!(fabs(mega_get(t, i / n, i % n) - want[i]) < 1e-5))
            fail_msg(
                "number %d is %g, expected %g", (int)i, mega_get(t, i / n, i % n), want[i]);
}

/* ---- distances ---- */

/* a table whose row b holds b, read by buckets */
static mega_tensor *buckets(struct setup *s, int64_t length, bool two_way)
{
    struct mega_attr_distance_bias a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_DISTANCE_T5;
    a.length = length;
    a.heads = 1;
    a.two_way = two_way;
    a.max_distance = 128;
    a.scale = 1;
    double numbers[32];
    for (int b = 0; b < 32; b++) numbers[b] = b;
    mega_tensor *table = given(s, 2, (int64_t[]){ 32, 1 }, numbers);
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_distance_bias, .in = { table }, .attr = &a }, NULL);
}

/* first distances of the 32 buckets, as published with T5 */
static void buckets_begin_where_those_of_t5_do(void **state)
{
    (void)state;
    static const int one_way[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19,
        21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113 };
    static const int two_way[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91 };
    enum { N = 300 };
    struct setup s;
    begin(&s);
    mega_tensor *one = buckets(&s, N, false), *two = buckets(&s, N, true);
    for (int delta = 0; delta < N; delta++) {
        int b = 0, c = 0;
        while (b < 31 && one_way[b + 1] <= delta) b++;
        while (c < 15 && two_way[c + 1] <= delta) c++;
        assert_int_equal((int)mega_get(one, 0, N - 1 - delta), b);
        assert_int_equal((int)mega_get(two, 0, N - 1 - delta), c);
        /* keys after the query: one bucket for all, or as many of their own */
        assert_int_equal((int)mega_get(one, 0, N - 1 + delta), 0);
        assert_int_equal((int)mega_get(two, 0, N - 1 + delta), delta ? 16 + c : 0);
    }
    end(&s);
}

static void slopes_are_those_of_alibi(void **state)
{
    (void)state;
    static const double twelve[] = { 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125,
        0.00390625, 0.707106781, 0.353553391, 0.176776695, 0.0883883476, 0 };
    struct setup s;
    begin(&s);
    struct mega_attr_distance_bias a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_DISTANCE_ALIBI;
    a.length = 3;
    a.heads = 13;
    a.sloped = 12;
    mega_tensor *t = mega_run_call(
        s.run, &(struct mega_call){ .op = &mega_op_distance_bias, .attr = &a }, NULL);
    assert_non_null(t);
    for (int h = 0; h < 13; h++)
        for (int x = 0; x < 5; x++)
            assert_true(fabs(mega_get(t, h, x) + twelve[h] * abs(2 - x)) < 1e-6);
    end(&s);
}

/* ---- turns ---- */

static mega_tensor *turned(
    struct setup *s, const struct mega_rows *rows, const double *numbers, double xpos)
{
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = 1;
    a.dims = 8;
    a.base = 10000;
    a.factor = 1;
    a.interleaved = true;
    a.xpos = xpos;
    mega_tensor *x = given(s, 3, (int64_t[]){ 1, rows->T, 8 }, numbers);
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

/* zeta of 8 channels: 0.285714 0.464286 0.642857 0.821429, once every `xpos` places */
static void xpos_fades_by_zeta(void **state)
{
    (void)state;
    static const double zeta[] = { 0.2857142857, 0.4642857143, 0.6428571429, 0.8214285714 };
    static const double x[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0 };
    struct setup s;
    struct mega_rows rows = { .B = 1, .T = 2 };
    begin(&s);
    mega_tensor *plain = turned(&s, &rows, x, 0), *q = turned(&s, &rows, x, 1),
                *k = turned(&s, &rows, x, -1);
    for (int j = 0; j < 8; j++) {
        double p = mega_get(plain, 1, j);
        assert_true(fabs(mega_get(q, 1, j) - p * zeta[j / 2]) < 1e-6);
        assert_true(fabs(mega_get(k, 1, j) - p / zeta[j / 2]) < 1e-6);
    }
    end(&s);
}

/* softplus(0) = log 2; position 1 of one channel turns by 1 */
static void polar_turns_a_radius(void **state)
{
    (void)state;
    struct setup s;
    struct mega_rows rows = { .B = 1, .T = 2 };
    struct mega_attr_polar a;
    memset(&a, 0, sizeof a);
    a.heads = 1;
    a.base = 10000;
    a.factor = 1;
    begin(&s);
    mega_tensor *x = given(&s, 3, (int64_t[]){ 1, 2, 1 }, (double[]){ 0, 0 });
    mega_tensor *y = mega_run_call(s.run,
        &(struct mega_call){ .op = &mega_op_polar, .in = { x }, .attr = &a, .rows = &rows },
        NULL);
    assert_numbers(y, (double[]){ log(2), 0, log(2) * cos(1), log(2) * sin(1) });
    end(&s);
}

/* ---- heads ---- */

static void forget_sums_logarithms_of_gates(void **state)
{
    (void)state;
    struct setup s;
    int32_t real[] = { 1, 0, 1 };
    struct mega_rows rows = { .B = 1, .T = 3, .real = real };
    struct mega_attr_forget a = { true };
    begin(&s);
    struct mega_call c = { .op = &mega_op_forget, .attr = &a, .rows = &rows };
    c.in[MEGA_FORGET_X] = given(&s, 3, (int64_t[]){ 1, 3, 1 }, (double[]){ 0, 5, 0 });
    c.in[MEGA_FORGET_BEFORE] = given(&s, 2, (int64_t[]){ 1, 1 }, (double[]){ -1 });
    mega_run_call(s.run, &c, NULL);
    assert_numbers(c.out[0], (double[]){ -1 - log(2), -1 - log(2), -1 - 2 * log(2) });
    assert_numbers(c.out[1], (double[]){ -1 - 2 * log(2) });
    end(&s);
}

/* heads (1, 1) and (0, 2) with the value (1, 0): what lies along it goes */
static void reject_leaves_what_is_orthogonal(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    mega_tensor *o = given(&s, 2, (int64_t[]){ 1, 4 }, (double[]){ 1, 1, 2, 2 });
    mega_tensor *v = given(&s, 2, (int64_t[]){ 1, 2 }, (double[]){ 1, 0 });
    for (int whole = 0; whole < 2; whole++) {
        struct mega_attr_reject a;
        memset(&a, 0, sizeof a);
        a.heads = 2;
        a.kv_heads = 1;
        a.whole = whole;
        mega_tensor *y = mega_run_call(s.run,
            &(struct mega_call){ .op = &mega_op_reject, .in = { o, v }, .attr = &a }, NULL);
        /* together: o.v = 3, v.v = 2 */
        assert_numbers(y, whole ? (double[]){ -0.5, 1, 0.5, 2 } : (double[]){ 0, 1, 0, 2 });
    }
    end(&s);
}

static void heads_have_matrices_of_their_own(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    /* one row of 2 heads of 2 channels; W_0 = [1 2], W_1 = [3 4] */
    mega_tensor *x = given(&s, 2, (int64_t[]){ 1, 4 }, (double[]){ 1, 1, 1, -1 });
    mega_tensor *w = given(&s, 2, (int64_t[]){ 2, 2 }, (double[]){ 1, 2, 3, 4 });
    struct mega_attr_head_linear a;
    memset(&a, 0, sizeof a);
    a.heads = 2;
    mega_tensor *y = mega_run_call(s.run,
        &(struct mega_call){ .op = &mega_op_head_linear, .in = { x, w }, .attr = &a }, NULL);
    assert_numbers(y, (double[]){ 3, -1 });
    a.back = true;
    y = mega_run_call(s.run,
        &(struct mega_call){ .op = &mega_op_head_linear, .in = { y, w }, .attr = &a }, NULL);
    assert_numbers(y, (double[]){ 3, 6, -3, -4 });
    end(&s);
}

static void heads_are_put_together(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    mega_tensor *a = given(&s, 2, (int64_t[]){ 1, 2 }, (double[]){ 1, 2 });
    mega_tensor *b = given(&s, 2, (int64_t[]){ 1, 4 }, (double[]){ 3, 4, 5, 6 });
    struct mega_attr_head_concat attr;
    memset(&attr, 0, sizeof attr);
    attr.heads = 2;
    attr.from = 1;
    for (int shared = 0; shared < 2; shared++) {
        attr.shared = shared;
        struct mega_call c = { .op = &mega_op_head_concat, .attr = &attr };
        c.in[MEGA_HEAD_CONCAT_A] = a;
        c.in[MEGA_HEAD_CONCAT_B] = b;
        assert_numbers(mega_run_call(s.run, &c, NULL),
            shared ? (double[]){ 1, 4, 5, 6, 2, 4, 5, 6 } : (double[]){ 1, 4, 2, 6 });
    }
    end(&s);
}

/* row 0 has 1 place in use of 2 */
static void the_last_places_in_use_are_left(void **state)
{
    (void)state;
    struct setup s;
    int32_t len[] = { 1, 2 };
    struct mega_rows rows = { .B = 2, .T = 2, .len = len };
    begin(&s);
    mega_tensor *x = given(&s, 3, (int64_t[]){ 2, 2, 1 }, (double[]){ 1, 2, 11, 12 });
    mega_tensor *y = given(&s, 3, (int64_t[]){ 2, 2, 1 }, (double[]){ 3, 4, 13, 14 });
    for (int64_t last = 0; last <= 2; last += 2) {
        struct mega_attr_join a = { last };
        struct mega_call c = { .op = &mega_op_join, .in = { x, y }, .attr = &a, .rows = &rows };
        assert_numbers(mega_run_call(s.run, &c, NULL),
            last ? (double[]){ 2, 3, 13, 14 } : (double[]){ 1, 2, 3, 4, 11, 12, 13, 14 });
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_begin_where_those_of_t5_do),
        cmocka_unit_test(slopes_are_those_of_alibi),
        cmocka_unit_test(xpos_fades_by_zeta),
        cmocka_unit_test(polar_turns_a_radius),
        cmocka_unit_test(forget_sums_logarithms_of_gates),
        cmocka_unit_test(reject_leaves_what_is_orthogonal),
        cmocka_unit_test(heads_have_matrices_of_their_own),
        cmocka_unit_test(heads_are_put_together),
        cmocka_unit_test(the_last_places_in_use_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
