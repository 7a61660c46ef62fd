/* Shapes of the linear kernel that the common examples do not reach: several blocks of rows and
 * of columns, groups of rows, operands copied for their stride; in bfloat16 weights whose
 * gradient no cache holds. */
#include <stdio.h>

#include "kernel/check.h"
#include "kernel/example_parts.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_linear;

/* `tile`: rows of the kernels' blocks; 0: as they are */
static void holds_in(
    mega_dtype dtype, int tile, int64_t rows, int64_t K, int64_t N, enum mega_act act)
{
    struct mega_check check;
    assert_int_equal(mega_check_init(&check), MEGA_OK);
    for (int i = 0; i < MEGA_CHECK_TEAMS; i++) check.work[i].tile = tile;
    struct mega_example e = { .call = { .op = &mega_op_linear, .dtype = dtype },
        .judge = &mega_op_linear.reference,
        .wants = 7,
        .gives = 1,
        .tolerance = 5e-6 };
    struct mega_maker m = { .e = &e, .arena = &check.example, .dtype = dtype };
    mega_rng_start(&m.rng, 1, 2);
    struct mega_attr_linear *a = mega_make_attr(&m);
    a->act = act;
    e.call.in[MEGA_LINEAR_X] = mega_make_values(&m, 2, (int64_t[]){ rows, K }, 0, 1);
    e.call.in[MEGA_LINEAR_W] = mega_make_param(&m, 2, (int64_t[]){ N, K }, 0, 0.1);
    e.call.in[MEGA_LINEAR_B] = mega_make_param(&m, 1, &N, 0, 1);
    snprintf(e.text, sizeof e.text, "linear [%d, %d] -> %d", (int)rows, (int)K, (int)N);
    if (mega_check_all(&check, &e)) fail_msg("%s", mega_message());
    assert_true(check.accepted >= 1);
    mega_check_done(&check);
}

static void holds(int64_t rows, int64_t K, int64_t N, enum mega_act act)
{
    holds_in(MEGA_F32, 0, rows, K, N, act);
}

static void many_rows_are_summed_in_groups(void **state)
{
    (void)state;
    holds(1100, 128, 70, MEGA_ACT_SILU);
    holds(700, 40, 65, MEGA_ACT_RELU);
}

static void few_rows_are_summed_by_columns(void **state)
{
    (void)state;
    holds(300, 384, 130, MEGA_ACT_GELU);
    holds(200, 256, 2, MEGA_ACT_LINEAR);
}

static void wide_outputs_are_shared_out(void **state)
{
    (void)state;
    holds(3, 200, 700, MEGA_ACT_SIGMOID);
    holds(140, 9, 2100, MEGA_ACT_LINEAR);
}

/* N K > 2^18; and small blocks, as if it were: some rows joined at a time, a last odd one */
static void large_weights_take_rows_that_are_joined(void **state)
{
    (void)state;
    holds_in(MEGA_BF16, 0, 141, 514, 520, MEGA_ACT_SILU);
    holds_in(MEGA_BF16, 4, 43, 18, 150, MEGA_ACT_LINEAR);
    holds_in(MEGA_BF16, 5, 53, 34, 8, MEGA_ACT_RELU);
    holds_in(MEGA_BF16, 1, 9, 6, 4, MEGA_ACT_GELU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rows_are_summed_in_groups),
        cmocka_unit_test(few_rows_are_summed_by_columns),
        cmocka_unit_test(wide_outputs_are_shared_out),
        cmocka_unit_test(large_weights_take_rows_that_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
