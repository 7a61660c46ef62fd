/* What names, folders and patterns stand for, in which order. */
#include "data/file_list.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"

#define HERE "file_list_test.folder"

static void make_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, HERE "/%s", name);
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
}

static int open_folder(void **state)
{
    (void)state;
    return mega_folder_remove(HERE) || mega_folder_make(HERE);
}

static int close_folder(void **state)
{
    (void)state;
    return mega_folder_remove(HERE) != MEGA_OK;
}

static void names_are_ordered_by_their_bytes(void **state)
{
    (void)state;
    struct mega_names n;
    const char *const made[] = { "a.txt", "B.txt", "_.txt", "\xC3\xA9.txt", "a10.txt", "a2.txt",
        ".hidden" };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) make_file(made[i], "x");
    static const char *const want[] = { "B.txt", "_.txt", "a.txt", "a10.txt", "a2.txt",
        "\xC3\xA9.txt" };
    const char *const asked[] = { HERE, HERE "/", HERE "/*.txt" };
    for (int k = 0; k < 3; k++) {
        assert_int_equal(mega_file_list(&n, "task.train",
                             &(struct mega_texts){ (const char **)&asked[k], 1 }),
            MEGA_OK);
        assert_int_equal(n.n, 6);
        for (int i = 0; i < 6; i++) assert_string_equal(strrchr(n.item[i], '/') + 1, want[i]);
        mega_names_done(&n);
    }
}

/* "**": any number of folders, none too; each file once; nothing hidden, nothing behind links
 */
static void stars_go_into_folders_of_any_depth(void **state)
{
    (void)state;
    static const char *const folders[] = { "x", "x/y", "x/y/x", "x/[a]", "z", "x/.h" };
    static const char *const made[] = { "t.txt", "x/t.txt", "x/y/t.txt", "x/y/t.json",
        "x/y/x/t.txt", "x/[a]/t.txt", "z/t.txt", "x/.h/t.txt" };
    static const struct {
        const char *asked, *want; /* without HERE "/" */
    } cases[] = {
        { "**/*.txt", "t.txt x/[a]/t.txt x/t.txt x/y/t.txt x/y/x/t.txt z/t.txt" },
        { "x/**/t.txt", "x/[a]/t.txt x/t.txt x/y/t.txt x/y/x/t.txt" },
        { "**/x/**/t.txt", "x/[a]/t.txt x/t.txt x/y/t.txt x/y/x/t.txt" },
        { "x/**", "x/[a]/t.txt x/t.txt x/y/t.json x/y/t.txt x/y/x/t.txt" },
        { "?/**/*.json", "x/y/t.json" },
        { "x/**/**/t.json", "x/y/t.json" },
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[200];
        snprintf(path, sizeof path, HERE "/%s", folders[i]);
        assert_int_equal(mega_folder_make(path), MEGA_OK);
    }
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) make_file(made[i], "x");
    assert_int_equal(symlink("..", HERE "/x/up"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char asked[200], got[1000] = "";
        const char *item = asked;
        struct mega_names n;
        snprintf(asked, sizeof asked, HERE "/%s", cases[i].asked);
        assert_int_equal(
            mega_file_list(&n, "task.train", &(struct mega_texts){ &item, 1 }), MEGA_OK);
        for (int k = 0; k < n.n; k++) {
            if (k) strcat(got, " ");
            strcat(got, n.item[k] + strlen(HERE "/"));
        }
        assert_string_equal(got, cases[i].want);
        mega_names_done(&n);
    }
    const char *none = HERE "/**/*.none";
    struct mega_names n;
    assert_int_equal(
        mega_file_list(&n, "task.train", &(struct mega_texts){ &none, 1 }), MEGA_IO);
    assert_string_equal(mega_message(), "task.train: no file matches " HERE "/**/*.none");
}

static void lists_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *item[2], *message;
    } wrong[] = {
        { { HERE "/none.txt", "" }, "task.train: there is no file " HERE "/none.txt" },
        { { HERE "/*.none", "" }, "task.train: no file matches " HERE "/*.none" },
        { { HERE "/a.txt", HERE "/a*" }, "task.train: " HERE "/a.txt would be read twice" },
    };
    make_file("a.txt", "x");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mega_names n;
        const char *item[] = { wrong[i].item[0], wrong[i].item[1] };
        assert_true(mega_file_list(&n, "task.train", &(struct mega_texts){ item, 2 }));
        assert_string_equal(mega_message(), wrong[i].message);
        assert_int_equal(n.n, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        TEST(names_are_ordered_by_their_bytes),
        TEST(stars_go_into_folders_of_any_depth),
        TEST(lists_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
