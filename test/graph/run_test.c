/* Runs: sticky errors with a message, bad inputs, finite checks, dry runs, the memo, taps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "graph/ops.h"

struct setup {
    mega_context *context;
    mega_run *run;
};

static int open(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    *state = s;
    return mega_context_new(&s->context, NULL) || mega_run_new(&s->run, s->context);
}

static int done(void **state)
{
    struct setup *s = *state;
    mega_run_free(s->run);
    mega_context_free(s->context);
    free(s);
    return 0;
}

static mega_run *begin(void **state, unsigned mode)
{
    mega_run *r = ((struct setup *)*state)->run;
    assert_int_equal(mega_run_begin(r, &(struct mega_run_args){ .mode = mode }), MEGA_OK);
    return r;
}

/* first, first+1, ... */
static mega_tensor *numbers(mega_run *r, int64_t rows, int64_t width, float first)
{
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ rows, width });
    for (int64_t i = 0; t && t->data && i < rows * width; i++)
        mega_put(t, i / width, i % width, (double)first + (double)i);
    if (t) t->wants_grad = true;
    return t;
}

static void the_first_error_stays(void **state)
{
    mega_run *r = begin(state, 0);
    mega_tensor *a = numbers(r, 2, 3, 0), *b = numbers(r, 2, 4, 0);
    assert_null(add(r, a, b));
    assert_null(add(r, a, a)); /* fine in itself, but the run is not */
    assert_null(linear(r, a, b, NULL, MEGA_ACT_LINEAR));
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "add: b is [2, 4] F32, expected the shape of a");
    r = begin(state, 0);
    assert_non_null(add(r, numbers(r, 1, 1, 1), numbers(r, 1, 1, 2)));
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void nothing_happens_after_an_error(void **state)
{
    mega_run *r = begin(state, MEGA_RUN_GRAD);
    mega_tensor *x = numbers(r, 2, 3, 0), *y = add(r, x, x);
    float out[6] = { 7 };
    add(r, y, numbers(r, 1, 1, 0));
    assert_null(mega_run_columns(r, y, 0, 1));
    assert_null(mega_run_tensor(r, MEGA_F32, 1, (int64_t[]){ 1 }));
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    assert_null(x->grad);
    assert_int_equal(mega_run_read(r, y, out), MEGA_BAD_ARGUMENT);
    assert_true(out[0] == 7);
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
}

static void a_missing_input_is_an_error(void **state)
{
    mega_run *r = begin(state, 0);
    assert_null(add(r, numbers(r, 1, 1, 1), NULL));
    assert_int_equal(mega_run_end(r), MEGA_INTERNAL);
    assert_string_equal(mega_message(), "add: input 1 is missing");
    r = begin(state, 0);
    assert_null(columns(r, NULL, 0, 1));
    assert_int_equal(mega_run_end(r), MEGA_INTERNAL);
    assert_string_equal(mega_message(), "columns 0 ... 0 of a missing tensor");
}

static void columns_stay_inside(void **state)
{
    mega_run *r = begin(state, 0);
    assert_non_null(columns(r, numbers(r, 2, 4, 0), 1, 3));
    assert_null(columns(r, numbers(r, 2, 4, 0), 2, 3));
    assert_int_equal(mega_run_end(r), MEGA_INTERNAL);
    assert_string_equal(mega_message(), "columns 2 ... 4 of [2, 4] F32");
}

static void named_block(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)self;
    (void)rows;
    c->x = add(r, c->x, numbers(r, 3, 3, 0));
}

static void messages_name_the_block(void **state)
{
    mega_run *r = begin(state, 0);
    struct mega_carry c = { .x = numbers(r, 2, 3, 0) };
    mega_run_block(r, &(struct mega_block){ .path = "layers.1", .fn = named_block }, &c, NULL);
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
    assert_string_equal(
        mega_message(), "layers.1: add: b is [3, 3] F32, expected the shape of a");
}

static void check_mode_names_the_first_bad_tensor(void **state)
{
    mega_run *r = begin(state, MEGA_RUN_CHECK);
    mega_tensor *x = numbers(r, 2, 3, 1e38f);
    for (int i = 0; i < 4; i++) x = add(r, x, x);
    assert_int_equal(mega_run_end(r), MEGA_NOT_FINITE);
    assert_string_equal(
        mega_message(), "add: output 0 [2, 3] F32 holds inf at row 0, column 0");
}

static void without_check_mode_infinity_passes(void **state)
{
    mega_run *r = begin(state, 0);
    mega_tensor *x = numbers(r, 2, 3, 1e38f);
    for (int i = 0; i < 4; i++) x = add(r, x, x);
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void a_dry_run_knows_shapes_and_memory_but_touches_nothing(void **state)
{
    enum { ROWS = 1 << 20, WIDTH = 1 << 10 }; /* 4 GiB each */
    mega_run *r = begin(state, MEGA_RUN_DRY | MEGA_RUN_GRAD);
    mega_tensor *x = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ ROWS, WIDTH });
    x->wants_grad = true;
    mega_tensor *y = add(r, x, x);
    assert_null(y->data);
    assert_int_equal(y->dim[0], ROWS);
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    assert_non_null(x->grad);
    assert_null(x->grad->data);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    /* x, y and their gradients */
    size_t want = (size_t)ROWS * WIDTH * 4 * 4;
    assert_true(mega_run_peak(r) >= want);
    assert_true(mega_run_peak(r) < want + (1 << 20));
}

/* ---- the memo ---- */

static int lines;

static void count_line(void *arg, enum mega_log_level level, const char *line)
{
    (void)arg;
    (void)line;
    lines += level == MEGA_LOG_DISPATCH;
}

static void a_kernel_is_chosen_once_for_each_shape(void **state)
{
    (void)state;
    mega_context *c;
    mega_run *r;
    lines = 0;
    assert_int_equal(mega_context_new(&c, &(struct mega_context_options){ .log = count_line,
                                              .log_dispatch = true }),
        MEGA_OK);
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    for (int i = 0; i < 3; i++) {
        mega_run_begin(r, &(struct mega_run_args){ 0 });
        for (int64_t rows = 1; rows <= 4; rows++)
            add(r, numbers(r, rows, 5, 0), numbers(r, rows, 5, 0));
        assert_int_equal(mega_run_end(r), MEGA_OK);
        assert_int_equal(lines, 4);
    }
    mega_run_free(r);
    mega_context_free(c);
}

static void any_number_of_shapes_is_taken(void **state)
{
    mega_run *r = begin(state, 0);
    /* 9,464 shapes in one run; the memo holds 8,192 */
    for (int64_t i = 0; i < 13 * 13 * 4 * 14; i++) {
        int64_t dim[] = { 1 + i % 13, 1 + i / 13 % 13, 1 + i / 169 % 4, 1 + i / 676 };
        mega_tensor *x = mega_run_tensor(r, MEGA_F32, 4, dim);
        mega_put(x, 0, 0, 3);
        assert_true(mega_get(activation(r, x, MEGA_ACT_LINEAR), 0, 0) == 3);
    }
    assert_int_equal(mega_run_end(r), MEGA_OK);
    r = begin(state, 0);
    assert_non_null(add(r, numbers(r, 2, 2, 0), numbers(r, 2, 2, 0)));
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

/* ---- side outputs ---- */

static char seen[256];

static void note(void *arg, const char *path, const char *what, const mega_tensor *t)
{
    char shape[96];
    (void)arg;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s/%s%s ", path, what,
        mega_tensor_print(t, shape));
}

static void tapping_block(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)self;
    (void)rows;
    c->x = add(r, c->x, c->x);
    if (mega_run_wants(r, "weights")) mega_run_tap(r, "weights", c->x);
}

static void side_outputs_come_once_with_their_block(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    for (int recompute = 0; recompute < 2; recompute++) {
        seen[0] = 0;
        mega_run_begin(r, &(struct mega_run_args){
                              .mode = MEGA_RUN_GRAD, .wants = "scores,weights", .tap = note });
        assert_true(mega_run_wants(r, "scores"));
        assert_false(mega_run_wants(r, "score"));
        assert_false(mega_run_wants(r, "eights"));
        struct mega_carry c = { .x = numbers(r, 2, 3, 0) };
        mega_run_block(r,
            &(struct mega_block){ .path = "layers.0", .again = recompute, .fn = tapping_block },
            &c, NULL);
        mega_run_seed(r, c.x, 1);
        mega_run_backward(r);
        assert_int_equal(mega_run_end(r), MEGA_OK);
        assert_string_equal(seen, "layers.0/weights[2, 3] F32 ");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open, done)
    const struct CMUnitTest tests[] = {
        TEST(the_first_error_stays),
        TEST(nothing_happens_after_an_error),
        TEST(a_missing_input_is_an_error),
        TEST(columns_stay_inside),
        TEST(messages_name_the_block),
        TEST(check_mode_names_the_first_bad_tensor),
        TEST(without_check_mode_infinity_passes),
        TEST(a_dry_run_knows_shapes_and_memory_but_touches_nothing),
        TEST(a_kernel_is_chosen_once_for_each_shape),
        TEST(any_number_of_shapes_is_taken),
        TEST(side_outputs_come_once_with_their_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
