/* Attention of several heads, said by attention of one. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"

#include "cmocka_all.h"

enum { B = 2, T = 5, D = 3, DV = 2 }; /* D, DV: widths of a head */

struct setup {
    mega_context *context;
    mega_run *run;
    struct mega_rows rows;
    struct mega_attr_attention a;
};

static void begin(struct setup *s)
{
    memset(s, 0, sizeof *s);
    s->rows = (struct mega_rows){ .B = B, .T = T };
    s->a.chunk = -1;
    s->a.causal = true;
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    mega_run_begin(s->run, &(struct mega_run_args){ .wants = "weights" });
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_context_free(s->context);
}

/* [B, T, width]; the same numbers for the same site */
static mega_tensor *numbers(struct setup *s, int64_t width, uint64_t site)
{
    mega_tensor *t = mega_run_tensor(s->run, MEGA_F32, 3, (int64_t[]){ B, T, width });
    struct mega_rng g;
    mega_rng_start(&g, 3, site);
    for (int64_t i = 0; i < B * T * width; i++)
        ((float *)t->data)[i] = (float)mega_rng_normal(&g);
    return t;
}

static struct mega_call attend(
    struct setup *s, mega_tensor *q, mega_tensor *k, mega_tensor *v, int64_t H, int64_t G)
{
    static struct mega_attr_attention a;
    a = s->a;
    a.heads = H;
    a.kv_heads = G;
    struct mega_call c = {
        .op = &mega_op_attention, .in = { q, k, v }, .attr = &a, .rows = &s->rows
    };
    mega_run_call(s->run, &c, NULL);
    return c;
}

/* all rows of `one` equal the columns from ... of `all` */
static void assert_columns(const mega_tensor *all, int64_t from, const mega_tensor *one)
{
    assert_non_null(all);
    assert_non_null(one);
    for (int64_t r = 0; r < mega_height(one); r++)
        for (int64_t j = 0; j < mega_width(one); j++)
            assert_true(fabs(mega_get(all, r, from + j) - mega_get(one, r, j)) < 1e-6);
}

static void a_head_is_an_attention_of_its_own_columns(void **state)
{
    (void)state;
    enum { H = 3 };
    struct setup s;
    begin(&s);
    s.a.weights = true;
    mega_tensor *q = numbers(&s, H * D, 1), *k = numbers(&s, H * D, 2),
                *v = numbers(&s, H * DV, 3);
    struct mega_call all = attend(&s, q, k, v, H, 0);
    assert_int_equal(mega_dim(all.out[0], 2), H * DV);
    assert_int_equal(mega_dim(all.out[1], 1), H);
    for (int64_t h = 0; h < H; h++) {
        struct mega_call one = attend(&s, columns(s.run, q, h * D, D),
            columns(s.run, k, h * D, D), columns(s.run, v, h * DV, DV), 1, 1);
        assert_columns(all.out[0], h * DV, one.out[0]);
        for (int64_t b = 0; b < B; b++)
            for (int64_t i = 0; i < T * T; i++)
                assert_true(fabs(mega_get(all.out[1], (b * H + h) * T + i / T, i % T) -
                                 mega_get(one.out[1], b * T + i / T, i % T)) < 1e-6);
    }
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    done(&s);
}

static void query_heads_of_a_group_read_the_same_keys(void **state)
{
    (void)state;
    enum { H = 4, G = 2 };
    struct setup s;
    begin(&s);
    mega_tensor *q = numbers(&s, H * D, 1), *k = numbers(&s, G * D, 2),
                *v = numbers(&s, G * DV, 3);
    struct mega_call grouped = attend(&s, q, k, v, H, G);
    for (int64_t h = 0; h < H; h++) {
        struct mega_call one = attend(&s, columns(s.run, q, h * D, D),
            columns(s.run, k, h / 2 * D, D), columns(s.run, v, h / 2 * DV, DV), 1, 1);
        assert_columns(grouped.out[0], h * DV, one.out[0]);
    }
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    done(&s);
}

static void a_scale_takes_the_place_of_the_divisor(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    mega_tensor *q = numbers(&s, 4, 1), *k = numbers(&s, 4, 2), *v = numbers(&s, DV, 3);
    struct mega_call plain = attend(&s, q, k, v, 1, 1);
    s.a.scale = 0.5; /* 1 / sqrt(4) */
    struct mega_call scaled = attend(&s, q, k, v, 1, 1);
    assert_columns(plain.out[0], 0, scaled.out[0]);
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    done(&s);
}

static void refuses(int64_t H, int64_t G, int64_t keys, double scale, const char *message)
{
    struct setup s;
    begin(&s);
    s.a.scale = scale;
    attend(&s, numbers(&s, 12, 1), numbers(&s, keys, 2), numbers(&s, 12, 3), H, G);
    assert_int_equal(mega_run_end(s.run), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), message));
    done(&s);
}

static void heads_that_do_not_divide_are_refused(void **state)
{
    (void)state;
    refuses(4, 3, 12, 0, "4 heads and 3 heads of keys and values");
    refuses(5, 5, 12, 0, "q is [2, 5, 12] F32, expected [2, 5, a multiple of 5]");
    refuses(4, 2, 12, 0, "k is [2, 5, 12] F32, expected [2, 5, 6]");
    refuses(4, 4, 12, -1, "scale is -1");
}

/* a row's weights are divided by what is left of them, which is nothing where all keys go */
static void hidden_keys_leave_a_softmax_of_the_others(void **state)
{
    (void)state;
    struct setup s;
    begin(&s);
    mega_run_end(s.run);
    mega_run_begin(
        s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .wants = "weights" });
    s.a.weights = s.a.drop_keys = true;
    s.a.dropout = 0.6;
    struct mega_call c =
        attend(&s, numbers(&s, 4 * D, 1), numbers(&s, 4 * D, 2), numbers(&s, 4 * DV, 3), 4, 0);
    assert_non_null(c.out[0]);
    int empty = 0, full = 0;
    for (int64_t r = 0; r < mega_height(c.out[1]); r++) {
        double sum = 0;
        for (int64_t j = 0; j < T; j++) sum += mega_get(c.out[1], r, j);
        empty += sum == 0;
        full += fabs(sum - 1) < 1e-6;
    }
    assert_int_equal(empty + full, mega_height(c.out[1]));
    assert_true(empty > 0 && full > 0);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_an_attention_of_its_own_columns),
        cmocka_unit_test(query_heads_of_a_group_read_the_same_keys),
        cmocka_unit_test(a_scale_takes_the_place_of_the_divisor),
        cmocka_unit_test(heads_that_do_not_divide_are_refused),
        cmocka_unit_test(hidden_keys_leave_a_softmax_of_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
