/* Shapes of the linear kernel that the common examples do not reach: several blocks of rows and
 * of columns, groups of rows, operands copied for their stride. */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/check.h"
#include "kernel/example_parts.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_linear;

/* in float32, and in bfloat16 */
static void holds_in(mega_dtype dtype, int64_t rows, int64_t K, int64_t N, enum mega_act act)
{
    struct mega_check check;
    assert_int_equal(mega_check_init(&check), MEGA_OK);
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
    holds_in(MEGA_F32, rows, K, N, act);
    if (act != MEGA_ACT_RELU) holds_in(MEGA_BF16, rows, K, N, act);
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

/* with blocks of four rows */
static void large_weights_are_summed_in_groups_or_by_columns(void **state)
{
    (void)state;
    setenv("MEGA_TILE", "4", 1);
    holds(70, 16, 16500, MEGA_ACT_LINEAR);
    holds(33, 24, 33000, MEGA_ACT_SILU);
    unsetenv("MEGA_TILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rows_are_summed_in_groups),
        cmocka_unit_test(few_rows_are_summed_by_columns),
        cmocka_unit_test(wide_outputs_are_shared_out),
        cmocka_unit_test(large_weights_are_summed_in_groups_or_by_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
