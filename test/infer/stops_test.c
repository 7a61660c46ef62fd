/* Stop strings over bytes that arrive in any pieces. */
#include "infer/stops.h"

#include <string.h>

#include "cmocka_all.h"

/* feeds `text` in pieces of `each` bytes; what came out, and whether it stopped */
static bool through(
    const char *const *stop, int n, const char *text, size_t each, struct mega_text *out)
{
    struct mega_stops s;
    bool stopped = false;
    size_t size = strlen(text), some;
    mega_text_clear(out);
    mega_text_add(out, "%s", "");
    assert_int_equal(mega_stops_init(&s, stop, NULL, n), MEGA_OK);
    for (size_t i = 0; i < size && !stopped; i += each) {
        size_t m = size - i < each ? size - i : each;
        assert_int_equal(mega_stops_add(&s, text + i, m, &stopped), MEGA_OK);
        const char *bytes = mega_stops_take(&s, stopped, &some);
        mega_text_add_bytes(out, bytes, some);
    }
    const char *rest = mega_stops_take(&s, true, &some);
    mega_text_add_bytes(out, rest, some);
    mega_stops_done(&s);
    return stopped;
}

static void expect(
    const char *const *stop, int n, const char *text, bool stops, const char *out)
{
    struct mega_text t = { 0 };
    for (size_t each = 1; each <= strlen(text) + 1; each++) {
        assert_int_equal(through(stop, n, text, each, &t), stops);
        assert_string_equal(t.data, out);
    }
    mega_text_done(&t);
}

static void a_text_ends_before_its_stop_string(void **state)
{
    (void)state;
    static const char *const end[] = { "END" };
    expect(end, 1, "one ENEND two", true, "one EN");
    expect(end, 1, "END", true, "");
    expect(end, 1, "no end here EN", false, "no end here EN");
    expect(end, 0, "END", false, "END");
}

static void of_several_the_first_complete_counts_and_of_those_the_longest(void **state)
{
    (void)state;
    static const char *const stops[] = { "b", "abb", "ab" };
    expect(stops, 3, "xab", true, "x");
    static const char *const late[] = { "abcd", "c" };
    expect(late, 2, "xabcd", true, "xab");
    static const char *const over[] = { "aab" };
    expect(over, 1, "aaab", true, "a");
}

static void bytes_go_out_as_soon_as_they_can(void **state)
{
    (void)state;
    static const char *const stops[] = { "\n\n" };
    struct mega_stops s;
    bool stopped;
    size_t n;
    assert_int_equal(mega_stops_init(&s, stops, NULL, 1), MEGA_OK);
    assert_int_equal(mega_stops_add(&s, "ab\n", 3, &stopped), MEGA_OK);
    assert_memory_equal(mega_stops_take(&s, false, &n), "ab", 2);
    assert_int_equal(n, 2);
    assert_int_equal(mega_stops_add(&s, "c", 1, &stopped), MEGA_OK);
    assert_memory_equal(mega_stops_take(&s, false, &n), "\nc", 2);
    assert_int_equal(n, 2);
    mega_stops_done(&s);
}

static void an_empty_string_is_refused(void **state)
{
    (void)state;
    static const char *const stops[] = { "a", "" };
    struct mega_stops s;
    assert_int_equal(mega_stops_init(&s, stops, NULL, 2), MEGA_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_ends_before_its_stop_string),
        cmocka_unit_test(of_several_the_first_complete_counts_and_of_those_the_longest),
        cmocka_unit_test(bytes_go_out_as_soon_as_they_can),
        cmocka_unit_test(an_empty_string_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
