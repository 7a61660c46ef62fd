/* ListOps: values, tokens, printed form, refusals, and the generator's rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "data/examples.h"
#include "data/listops.h"
#include "data/listops_make.h"

#define CASES MEGA_SOURCE "/test/cases/"

static struct mega_listops tree;

static int value_of(const char *text)
{
    assert_int_equal(mega_listops_parse(&tree, "", text, strlen(text)), MEGA_OK);
    return tree.value;
}

static void values_follow_the_operators(void **state)
{
    (void)state;
    assert_int_equal(value_of("7"), 7);
    assert_int_equal(value_of("[MED 3 4 8 9 ]"), 6);
    assert_int_equal(value_of("[MED 1 2 ]"), 1);
    assert_int_equal(value_of("[SM 9 9 9 ]"), 7);
    assert_int_equal(value_of("[MIN [MED 7 8 ] [SM 6 6 0 ] ]"), 2);
    assert_int_equal(value_of("[FIRST 4 5 ]"), 4);
    assert_int_equal(value_of("[LAST 4 5 ]"), 5);
}

static void tokens_leave_brackets_out_and_keep_the_closing_one(void **state)
{
    (void)state;
    static const int32_t ids[] = { MEGA_LISTOPS_MAX, 2, MEGA_LISTOPS_MIN, 6, 3,
        MEGA_LISTOPS_CLOSE, 5, MEGA_LISTOPS_CLOSE };
    value_of("( ( ( ( [MAX 1 ) ( ( ( [MIN 5 ) 2 ) ] ) ) 4 ) ] )");
    assert_int_equal(tree.n, 8);
    assert_memory_equal(tree.id, ids, sizeof ids);
}

static void malformed_trees_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = { { "", "no tree" },
        { "[MAX 1 2", "1 operators still open" }, { "[MAX ]", "without arguments" },
        { "] 1", "closes nothing" }, { "( 1", "1 brackets still open" },
        { "1 )", "')' closes nothing" }, { "1 2", "after the end" },
        { "[FOO 1 ]", "'[FOO' is not a token" }, { "12", "'12' is not" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(
            mega_listops_parse(&tree, "", cases[i][0], strlen(cases[i][0])), MEGA_BAD_FILE);
        assert_non_null(strstr(mega_message(), cases[i][1]));
    }
}

static void a_million_brackets_are_no_danger(void **state)
{
    (void)state;
    struct mega_text t = { 0 };
    for (int i = 0; i < 1000000; i++) mega_text_add_bytes(&t, "[MAX ", 5);
    assert_int_equal(mega_listops_parse(&tree, "", t.data, t.size), MEGA_BAD_FILE);
    mega_text_done(&t);
}

struct wrong {
    int n, line[8], label[8], value[8];
};

static void note(void *arg, int64_t line, int label, int value)
{
    struct wrong *w = arg;
    w->line[w->n] = (int)line;
    w->label[w->n] = label;
    w->value[w->n++] = value;
}

static void wrong_labels_are_named_with_the_right_value(void **state)
{
    (void)state;
    struct wrong w = { 0 };
    struct mega_listops_report report;
    assert_int_equal(mega_listops_check(CASES "a01_listops.tsv", note, &w, &report), MEGA_OK);
    assert_int_equal(report.rows, 8);
    assert_int_equal(w.n, 2);
    assert_int_equal(w.line[0], 5);
    assert_int_equal(w.label[0], 7);
    assert_int_equal(w.value[0], 6);
    assert_int_equal(w.line[1], 9);
    assert_int_equal(w.value[1], 3);
    assert_int_equal(
        mega_listops_check(CASES "a01_unbalanced.tsv", note, &w, &report), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "a01_unbalanced.tsv:3: "));
}

static void token_counts_are_those_of_the_case(void **state)
{
    (void)state;
    static const int64_t want[] = { 8, 8, 4, 6, 5, 5, 11, 14 };
    struct mega_text text = { 0 };
    struct mega_examples e;
    struct mega_examples_layout layout = { .labels = true };
    assert_int_equal(mega_file_read(CASES "a01_listops.tsv", &text), MEGA_OK);
    assert_int_equal(
        mega_examples_read_listops(&e, "a01", text.data, text.size, &layout), MEGA_OK);
    assert_int_equal(e.n, 8);
    for (int i = 0; i < 8; i++) assert_int_equal(e.start[i + 1] - e.start[i], want[i]);
    mega_examples_done(&e);
    mega_text_done(&text);
}

/* ---- the generator ---- */

static mega_status make(int threads, const struct mega_listops_set *set, const char *folder)
{
    struct mega_work work;
    assert_int_equal(mega_work_init(&work, threads), MEGA_OK);
    mega_status status = mega_listops_make(&work, set, folder, NULL, NULL);
    mega_work_done(&work);
    return status;
}

static void made_trees_keep_the_rules(void **state)
{
    (void)state;
    struct mega_listops_set set = { .train = 300,
        .valid = 20,
        .test = 10,
        .seed = 4,
        .depth = 10,
        .args = 10,
        .min_length = 20,
        .max_length = 60 };
    struct mega_text text = { 0 }, again = { 0 }, printed = { 0 };
    assert_int_equal(make(1, &set, "lo_test"), MEGA_OK);
    assert_int_equal(mega_file_read("lo_test/basic_train.tsv", &text), MEGA_OK);
    assert_int_equal(make(3, &set, "lo_test"), MEGA_OK);
    assert_int_equal(mega_file_read("lo_test/basic_train.tsv", &again), MEGA_OK);
    assert_int_equal(text.size, again.size);
    assert_memory_equal(text.data, again.data, text.size);

    int rows = 0;
    char *line = strtok(text.data, "\n");
    assert_string_equal(line, "Source\tTarget");
    while ((line = strtok(NULL, "\n"))) {
        char *tab = strchr(line, '\t');
        *tab = 0;
        assert_int_equal(value_of(line), tab[1] - '0');
        assert_in_range(tree.n, 21, 59);
        mega_text_clear(&printed);
        mega_listops_print(tree.id, tree.n, &printed);
        assert_string_equal(printed.data, line);
        rows++;
    }
    assert_int_equal(rows, 300);
    mega_folder_remove("lo_test");
    mega_text_done(&text);
    mega_text_done(&again);
    mega_text_done(&printed);
}

static void what_can_never_be_met_is_refused(void **state)
{
    (void)state;
    static const struct mega_listops_set sets[] = {
        { .train = 1, .depth = 10, .args = 10, .min_length = 50, .max_length = 51 },
        { .train = 1, .depth = 3, .args = 2, .min_length = 100, .max_length = 200 },
        { .train = 11, .depth = 1, .args = 10, .min_length = 0, .max_length = 9 },
        { .train = 1, .depth = 10, .args = 1, .min_length = 5, .max_length = 20 },
        { .depth = 10, .args = 10, .min_length = 5, .max_length = 20 },
        { .train = 1, .depth = 10, .args = 10, .min_length = 1, .max_length = 4 }
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        assert_int_equal(make(1, &sets[i], "lo_never"), MEGA_BAD_ARGUMENT);
    assert_false(mega_path_exists("lo_never"));
}

static void every_label_of_the_real_file_agrees(void **state)
{
    (void)state;
    const char *data = getenv("MEGA_DATA");
    char path[512];
    struct mega_listops_report report;
    snprintf(path, sizeof path, "%s/lra/listops_test_d20s.tsv.gz",
        data ? data : MEGA_SOURCE "/../shared/data");
    if (!mega_path_exists(path)) skip();
    assert_int_equal(mega_listops_check(path, NULL, NULL, &report), MEGA_OK);
    assert_int_equal(report.rows, 10000);
    assert_int_equal(report.wrong, 0);
}

static int done(void **state)
{
    (void)state;
    mega_listops_done(&tree);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_follow_the_operators),
        cmocka_unit_test(tokens_leave_brackets_out_and_keep_the_closing_one),
        cmocka_unit_test(malformed_trees_are_refused),
        cmocka_unit_test(a_million_brackets_are_no_danger),
        cmocka_unit_test(wrong_labels_are_named_with_the_right_value),
        cmocka_unit_test(token_counts_are_those_of_the_case),
        cmocka_unit_test(made_trees_keep_the_rules),
        cmocka_unit_test(what_can_never_be_met_is_refused),
        cmocka_unit_test(every_label_of_the_real_file_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
