#include "base/rng.h"

#include "cmocka_all.h"

static void philox_gives_the_published_vectors(void **state)
{
    (void)state;
    uint32_t out[4];
    /* known answers of Random123 for philox4x32-10 */
    mega_philox(0, 0, 0, out);
    assert_int_equal(out[0], 0x6627e8d5u);
    assert_int_equal(out[1], 0xe169c58du);
    assert_int_equal(out[2], 0xbc57ac4cu);
    assert_int_equal(out[3], 0x9b00dbd8u);
    mega_philox(~0ull, ~0ull, ~0ull, out);
    assert_int_equal(out[0], 0x408f276du);
    assert_int_equal(out[1], 0x41c83b0eu);
    assert_int_equal(out[2], 0xa20bc7c6u);
    assert_int_equal(out[3], 0x6d5451fdu);
}

static void below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    int seen[7] = { 0 };
    for (int i = 0; i < 7000; i++) seen[mega_rng_below(&g, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 850, 1150);
}

static void normal_has_mean_0_and_deviation_1(void **state)
{
    (void)state;
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    double sum = 0, squares = 0;
    int n = 40000;
    for (int i = 0; i < n; i++) {
        double x = mega_rng_normal(&g);
        sum += x;
        squares += x * x;
    }
    assert_true(sum / n < 0.02 && sum / n > -0.02);
    assert_true(squares / n < 1.03 && squares / n > 0.97);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_vectors),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(normal_has_mean_0_and_deviation_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
