/* The strip kernel on all examples of attention, cut into strips of a few queries, so that
 * every example crosses many. */
#include <stdio.h>
#include <string.h>

#include "kernel/check.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_attention;

static void set_tile(struct mega_check *k, int tile)
{
    for (int i = 0; i < MEGA_CHECK_TEAMS; i++) k->work[i].tile = tile;
}

/* example i, in float32, by all strip kernels that this machine can run */
static void check_example(struct mega_check *k, int i)
{
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        if (e->op != &mega_op_attention || e->isa > mega_isa_here() ||
            strncmp(e->kernel->name, "strip", 5) != 0)
            continue;
        struct mega_example x;
        mega_arena_release(&k->example, 0);
        assert_int_equal(
            mega_example_make(&x, &k->example, e->op, i, MEGA_F32, false), MEGA_OK);
        if (mega_check_example(k, e, &x)) fail_msg("%s", mega_message());
    }
}

static void strips_of(int queries)
{
    struct mega_check k;
    assert_int_equal(mega_check_init(&k), MEGA_OK);
    set_tile(&k, queries);
    for (int i = 0; i < MEGA_EXAMPLES; i++) check_example(&k, i);
    assert_true(k.accepted >= MEGA_EXAMPLES);
    assert_int_equal(k.refused, 0);
    mega_check_done(&k);
}

static void strips_of_two_queries(void **state)
{
    (void)state;
    strips_of(2);
}

static void strips_of_five_queries(void **state)
{
    (void)state;
    strips_of(5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strips_of_two_queries),
        cmocka_unit_test(strips_of_five_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
