/* Shapes of the output_loss kernel that the common examples do not reach: many tiles of
 * classes, groups of tiles and of rows, logits that are kept and that are made again. */
#include <stdio.h>

#include "kernel/check.h"
#include "kernel/example_parts.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_output_loss;

struct shape {
    int64_t rows, D, V, M;
    int32_t least; /* target: -1: some rows are ignored */
    double deviation;
};

static void holds(const struct shape *s, mega_dtype dtype)
{
    struct mega_check check;
    assert_int_equal(mega_check_init(&check), MEGA_OK);
    struct mega_example e = { .call = { .op = &mega_op_output_loss, .dtype = dtype },
        .judge = &mega_op_output_loss.reference,
        .wants = 1u << MEGA_OUTPUT_LOSS_X | 1u << MEGA_OUTPUT_LOSS_W |
                 1u << MEGA_OUTPUT_LOSS_BIAS | 1u << MEGA_OUTPUT_LOSS_MORE,
        .gives = 1,
        .tolerance = 2e-5 };
    struct mega_maker m = { .e = &e, .arena = &check.example, .dtype = dtype };
    mega_rng_start(&m.rng, 1, 2);
    struct mega_attr_output_loss *a = mega_make_attr(&m);
    int64_t classes = s->V + s->M, x[] = { s->rows, s->D };
    a->loss.smoothing = 0.1;
    a->rows = true;
    e.call.in[MEGA_OUTPUT_LOSS_X] = mega_make_values(&m, 2, x, 0, 1);
    e.call.in[MEGA_OUTPUT_LOSS_W] =
        mega_make_param(&m, 2, (int64_t[]){ s->V, s->D }, 0, s->deviation);
    e.call.in[MEGA_OUTPUT_LOSS_BIAS] = mega_make_param(&m, 1, &classes, 0, 1);
    e.call.in[MEGA_OUTPUT_LOSS_TARGET] =
        mega_make_numbers(&m, 1, &s->rows, s->least, (int32_t)classes - 1);
    if (s->M)
        e.call.in[MEGA_OUTPUT_LOSS_MORE] =
            mega_make_param(&m, 2, (int64_t[]){ s->M, s->D }, 0, s->deviation);
    snprintf(e.text, sizeof e.text, "output_loss [%d, %d] of %d + %d", (int)s->rows, (int)s->D,
        (int)s->V, (int)s->M);
    if (mega_check_all(&check, &e)) fail_msg("%s", mega_message());
    assert_true(check.accepted >= 1);
    mega_check_done(&check);
}

static void few_rows_meet_groups_of_tiles(void **state)
{
    (void)state;
    holds(&(struct shape){ .rows = 3, .D = 24, .V = 1500, .deviation = 0.3 }, MEGA_F32);
    holds(&(struct shape){ .rows = 200, .D = 8, .V = 700, .M = 3, .deviation = 1 }, MEGA_F32);
}

static void few_classes_are_summed_in_groups_of_rows(void **state)
{
    (void)state;
    holds(
        &(struct shape){
            .rows = 1000, .D = 100, .V = 150, .M = 2, .least = -1, .deviation = 0.2 },
        MEGA_F32);
}

static void large_logits_move_the_scale(void **state)
{
    (void)state;
    holds(&(struct shape){ .rows = 140, .D = 16, .V = 520, .least = -3, .deviation = 8 },
        MEGA_F32);
}

static void bfloat16_is_taken_in_blocks(void **state)
{
    (void)state;
    holds(&(struct shape){ .rows = 300, .D = 33, .V = 300, .least = -1, .deviation = 0.3 },
        MEGA_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_rows_meet_groups_of_tiles),
        cmocka_unit_test(few_classes_are_summed_in_groups_of_rows),
        cmocka_unit_test(large_logits_move_the_scale),
        cmocka_unit_test(bfloat16_is_taken_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
