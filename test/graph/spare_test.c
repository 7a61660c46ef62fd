/* Spare memory: places grow together, the smallest that fits is taken from its end. */
#include "graph/spare.h"

#include "cmocka_all.h"

static _Alignas(64) char memory[1024];

static void neighbours_grow_together_in_any_order(void **state)
{
    (void)state;
    struct spare s = { .n = 0 };
    spare_give(&s, memory, 64);
    spare_give(&s, memory + 128, 64);
    assert_int_equal(s.n, 2);
    spare_give(&s, memory + 64, 64);
    assert_int_equal(s.n, 1);
    assert_ptr_equal(spare_take(&s, 192), memory);
    assert_int_equal(s.n, 0);
}

static void the_smallest_place_that_fits_is_taken_from_its_end(void **state)
{
    (void)state;
    struct spare s = { .n = 0 };
    spare_give(&s, memory, 512);
    spare_give(&s, memory + 640, 128);
    assert_ptr_equal(spare_take(&s, 100), memory + 640); /* 100 bytes are two lines of 64 */
    assert_ptr_equal(spare_take(&s, 65), memory + 384);
    assert_ptr_equal(spare_take(&s, 384), memory);
    assert_null(spare_take(&s, 1));
}

static void what_is_cut_is_forgotten(void **state)
{
    (void)state;
    struct spare s = { .n = 0 };
    spare_give(&s, memory, 256);
    spare_give(&s, memory + 512, 64);
    spare_cut(&s, memory + 128, memory + 1024);
    assert_ptr_equal(spare_take(&s, 128), memory);
    assert_null(spare_take(&s, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_grow_together_in_any_order),
        cmocka_unit_test(the_smallest_place_that_fits_is_taken_from_its_end),
        cmocka_unit_test(what_is_cut_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
