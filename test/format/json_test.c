/* JSON: strict, with places; what we print is always valid. */
#include <math.h>
#include <string.h>

#include "cmocka_all.h"

#include "format/node.h"

static void values_of_every_kind_are_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": [1, -2.5e1, true, null], \"b\": {\"c\": \"x\\u00e9\\ud83d\\ude00\\u0000y\"}}";
    struct mega_document d;
    assert_int_equal(mega_json_parse(&d, "j", text, sizeof text - 1), MEGA_OK);
    const struct mega_node *a = mega_node_find(d.root, "a")->first;
    assert_int_equal(a->integer, 1);
    assert_true(a->next->real == -25);
    assert_true(a->next->next->boolean);
    assert_int_equal(a->next->next->next->kind, MEGA_NODE_NULL);
    const struct mega_node *c = mega_node_find(d.root, "b.c");
    assert_int_equal(c->size, 9);
    assert_memory_equal(c->text, "x\xC3\xA9\xF0\x9F\x98\x80\0y", 9);
    assert_int_equal(c->line, 1);
    mega_document_done(&d);
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "j:1:1: expected a value, found the end of the file" },
        { "{\"a\": 1,}", "j:1:9: expected a key" }, { "{\"a\": 01}", "expected a number" },
        { "{\"a\": .5}", "expected a value" }, { "{\"a\": 1.}", "expected a number" },
        { "{\"a\": 1e999}", "too large" },
        { "{\"a\": 1}\nx", "j:2:1: expected the end of the file, found 'x'" },
        { "{\"a\": \"\\ud800\"}", "surrogate" }, { "{\"a\": \"\xFF\"}", "valid UTF-8" },
        { "{\"a\": \"\n\"}", "control character" },
        { "{\"a\": 1,\n \"b\": 2,\n \"a\": 3}",
            "j:3:2: the key \"a\" stands here for the second time, first on line 1" },
        { "[1", "',' or ']'" }, { "\"abc", "a closing \"" }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mega_document d;
        assert_int_equal(
            mega_json_parse(&d, "j", cases[i][0], strlen(cases[i][0])), MEGA_BAD_FILE);
        if (!strstr(mega_message(), cases[i][1])) print_error("%s\n", mega_message());
        assert_non_null(strstr(mega_message(), cases[i][1]));
    }
}

static void any_bytes_print_as_valid_json(void **state)
{
    (void)state;
    struct mega_text t = { 0 };
    mega_json_add_text(&t, "a\"\\\n\x00\xFF\xC3\xA9", 8);
    assert_string_equal(t.data, "\"a\\\"\\\\\\u000a\\u0000\\ufffd\xC3\xA9\"");
    mega_text_clear(&t);
    mega_json_add_real(&t, NAN);
    mega_json_add_real(&t, -INFINITY);
    mega_json_add_real(&t, 0.1);
    assert_string_equal(t.data, "\"nan\"\"-inf\"0.1");
    mega_text_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_read),
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(any_bytes_print_as_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
