/* YAML 1.2 core schema, refusals with their places, and option tables that meet documents. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "format/node.h"

static mega_status parse(struct mega_document *d, const char *text)
{
    return mega_yaml_parse(d, "r.yaml", text, strlen(text));
}

static void assert_refused(const char *text, const char *message)
{
    struct mega_document d;
    assert_int_not_equal(parse(&d, text), MEGA_OK);
    if (!strstr(mega_message(), message))
        print_error("%s\nexpected: %s\n", mega_message(), message);
    assert_non_null(strstr(mega_message(), message));
}

static void numbers_are_those_of_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mega_node_kind kind;
        double value;
    } cases[] = { { "1e-3", MEGA_NODE_REAL, 1e-3 }, { "1E-3", MEGA_NODE_REAL, 1e-3 },
        { ".001", MEGA_NODE_REAL, 1e-3 }, { "1.0e-3", MEGA_NODE_REAL, 1e-3 },
        { "+0.001", MEGA_NODE_REAL, 1e-3 }, { "010", MEGA_NODE_INT, 10 },
        { "0x10", MEGA_NODE_INT, 16 }, { "0o17", MEGA_NODE_INT, 15 },
        { "-3", MEGA_NODE_INT, -3 }, { "1e1", MEGA_NODE_REAL, 10 },
        { "1_000", MEGA_NODE_TEXT, 0 }, { "1:30", MEGA_NODE_TEXT, 0 },
        { "1e-3x", MEGA_NODE_TEXT, 0 }, { "0.5.1", MEGA_NODE_TEXT, 0 },
        { "\"1e-3\"", MEGA_NODE_TEXT, 0 }, { ".inf", MEGA_NODE_REAL, INFINITY },
        { "1e999", MEGA_NODE_REAL, INFINITY }, { "no", MEGA_NODE_TEXT, 0 },
        { "on", MEGA_NODE_TEXT, 0 }, { "true", MEGA_NODE_BOOL, 0 },
        { "False", MEGA_NODE_BOOL, 0 }, { "~", MEGA_NODE_NULL, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        struct mega_document d;
        snprintf(text, sizeof text, "k: %s\n", cases[i].text);
        assert_int_equal(parse(&d, text), MEGA_OK);
        const struct mega_node *n = mega_node_find(d.root, "k");
        assert_int_equal(n->kind, cases[i].kind);
        if (cases[i].kind == MEGA_NODE_INT || cases[i].kind == MEGA_NODE_REAL)
            assert_true(n->real == cases[i].value);
        mega_document_done(&d);
    }
}

static void a_key_given_twice_is_refused_with_both_places(void **state)
{
    (void)state;
    struct mega_document d;
    assert_int_not_equal(
        mega_yaml_load(&d, MEGA_SOURCE "/test/cases/a09_duplicate.yaml"), MEGA_OK);
    assert_non_null(strstr(mega_message(),
        "a09_duplicate.yaml:4:3: the key lr stands here for the second time, first on line 2"));
    assert_int_not_equal(
        mega_yaml_load(&d, MEGA_SOURCE "/test/cases/a09_duplicate_section.yaml"), MEGA_OK);
    assert_non_null(strstr(mega_message(), "a09_duplicate_section.yaml:5:1: the key optim "
                                           "stands here for the second time, first on line 1"));
}

static void what_recipes_do_not_hold_is_refused(void **state)
{
    (void)state;
    assert_refused("a:\n\tb: 1\n", "r.yaml:2:1: a tab");
    assert_refused("a: &x 1\n", "anchors");
    assert_refused("a: !!int 1\n", "tags");
    assert_refused("a: 1\n---\nb: 2\n", "second document");
    assert_refused("- 1\n", "expected a map");
    assert_refused("a: [1\n", "r.yaml:2:1");
    assert_refused("a: \xFF\n", "UTF-8");
    char deep[400] = "a: ";
    for (int i = 0; i < 80; i++) strcat(deep, "[");
    for (int i = 0; i < 80; i++) strcat(deep, "]");
    assert_refused(deep, "nested too deep");
}

static void bom_crlf_and_an_empty_file_are_fine(void **state)
{
    (void)state;
    struct mega_document d;
    assert_int_equal(parse(&d, "\xEF\xBB\xBF"
                               "a: 1\r\nb: x\r\n"),
        MEGA_OK);
    assert_int_equal(mega_node_find(d.root, "a")->integer, 1);
    assert_string_equal(mega_node_find(d.root, "b")->text, "x");
    mega_document_done(&d);
    assert_int_equal(parse(&d, ""), MEGA_OK);
    assert_null(d.root->first);
    mega_document_done(&d);
}

/* ---- option tables ---- */

struct sample {
    int64_t whole;
    double real;
    bool flag;
    const char *text;
    int choice;
    struct mega_texts list;
};

#define AT(member) offsetof(struct sample, member)

static const struct mega_option table[] = {
    { "whole", MEGA_OPTION_INT, AT(whole), "7", 0, 100, NULL, NULL, "", 0 },
    { "real", MEGA_OPTION_REAL, AT(real), "0.5", 0, 0, NULL, NULL, "", 0 },
    { "flag", MEGA_OPTION_BOOL, AT(flag), "true", 0, 0, NULL, NULL, "", 0 },
    { "text", MEGA_OPTION_TEXT, AT(text), "", 0, 0, NULL, NULL, "", 0 },
    { "choice", MEGA_OPTION_CHOICE, AT(choice), "b", 0, 0, "a|b|c", NULL, "", 0 },
    { "list", MEGA_OPTION_TEXTS, AT(list), "", 0, 0, NULL, NULL, "", 0 },
    { 0 },
};

static mega_status read(const char *text, struct sample *out, struct mega_document *d)
{
    assert_int_equal(parse(d, text), MEGA_OK);
    mega_status status = mega_node_read(d, d->root, "s", table, NULL, out);
    if (status) mega_document_done(d);
    return status;
}

static void wrong_values_name_their_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "whole: 2.5\n", "r.yaml:1:1: s.whole is 2.5, expected a whole number" },
        { "real: 1\nwhole: 101\n",
            "r.yaml:2:1: s.whole is 101, expected a whole number from 0 to 100" },
        { "real: \"1e-3\"\n", "s.real is '1e-3', expected a number" },
        { "real: .nan\n", "a finite number" }, { "real: 1e999\n", "a finite number" },
        { "flag: yes\n", "s.flag is 'yes', expected true or false" },
        { "choice: d\n", "expected one of a|b|c" },
        { "whol: 1\n", "r.yaml:1:1: unknown key s.whol, the nearest is whole" },
        { "text: [1]\n", "expected a text" }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample s;
        struct mega_document d;
        assert_int_equal(read(cases[i][0], &s, &d), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), cases[i][1])) print_error("%s\n", mega_message());
        assert_non_null(strstr(mega_message(), cases[i][1]));
    }
}

static void printed_options_read_back_as_themselves(void **state)
{
    (void)state;
    struct sample s, again;
    struct mega_document d, e;
    struct mega_text text = { 0 };
    assert_int_equal(read("whole: 1e1\nreal: 0.1\nflag: false\ntext: \"a: \\\"b\\\" "
                          "#c\"\nchoice: c\nlist: [x, '1']\n",
                         &s, &d),
        MEGA_OK);
    assert_int_equal(s.whole, 10);
    mega_option_print(table, &s, 0, &text);
    assert_int_equal(read(text.data, &again, &e), MEGA_OK);
    assert_int_equal(again.whole, 10);
    assert_true(again.real == 0.1);
    assert_false(again.flag);
    assert_string_equal(again.text, "a: \"b\" #c");
    assert_int_equal(again.choice, 2);
    assert_int_equal(again.list.n, 2);
    assert_string_equal(again.list.item[1], "1");
    mega_document_done(&d);
    mega_document_done(&e);
    mega_text_done(&text);
}

static void a_value_can_be_set_from_outside(void **state)
{
    (void)state;
    struct mega_document d;
    assert_int_equal(parse(&d, "optim: { lr: 1 }\n"), MEGA_OK);
    assert_int_equal(mega_node_set(&d, "optim.lr", "1e-3"), MEGA_OK);
    assert_int_equal(mega_node_set(&d, "train.list", "[a, b]"), MEGA_OK);
    assert_true(mega_node_find(d.root, "optim.lr")->real == 1e-3);
    assert_string_equal(mega_node_find(d.root, "train.list")->first->next->text, "b");
    assert_int_equal(mega_node_set(&d, "optim.lr", ""), MEGA_BAD_ARGUMENT);
    mega_document_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_core_schema),
        cmocka_unit_test(a_key_given_twice_is_refused_with_both_places),
        cmocka_unit_test(what_recipes_do_not_hold_is_refused),
        cmocka_unit_test(bom_crlf_and_an_empty_file_are_fine),
        cmocka_unit_test(wrong_values_name_their_place),
        cmocka_unit_test(printed_options_read_back_as_themselves),
        cmocka_unit_test(a_value_can_be_set_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
