#include "train/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmocka_all.h"
#include "format/safetensors.h"

/* ---- made-up run folders, below one temporary folder that each test has for itself ---- */

static int make_root(void **state)
{
    char *root = strdup("/tmp/mega-report-XXXXXX");
    *state = root;
    return root && mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    mega_status status = mega_folder_remove(*state);
    free(*state);
    return status ? -1 : 0;
}

static char *path_in(const char *root, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", root, name);
    return path;
}

static void put(const char *root, const char *name, const char *text)
{
    char path[256];
    path_in(root, name, path);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(mega_folder_make(path), MEGA_OK);
    *slash = '/';
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
}

static void put_model(const char *root, const char *name)
{
    static const float zeros[12];
    const struct mega_st_tensor tensor[] = {
        { .name = "a.weight", .dtype = "F32", .rank = 2, .dim = { 4, 3 }, .data = zeros },
        { .name = "b<i>", .dtype = "F32", .rank = 0, .data = zeros },
    };
    char path[256];
    put(root, name, "");
    path_in(root, name, path);
    assert_int_equal(mega_safetensors_write(path, tensor, 2, NULL, 0), MEGA_OK);
}

static const char log_lines[] =
    "{\"kind\": \"train\", \"step\": 1, \"epoch\": 0, \"loss\": 2.5, \"grad_norm\": 1, \"lr\": "
    "0.001, \"tokens_per_s\": 12345, \"seconds\": 40}\n"
    "{\"kind\": \"train\", \"step\": 2, \"epoch\": 1, \"loss\": \"nan\", \"grad_norm\": "
    "\"inf\","
    " \"lr\": 0.001, \"tokens_per_s\": 12345, \"seconds\": 35}\n"
    "{\"kind\": \"valid\", \"step\": 1, \"split\": \"valid\", \"loss\": 2, \"accuracy\": "
    "0.75}\n"
    "{\"kind\": \"valid\", \"step\": 2, \"split\": \"valid\", \"loss\": 3, \"accuracy\": 0.5, "
    "\"confusion\": [[30, 10], [0, 0]]}\n"
    "{\"kind\": \"note\", \"step\": 2, \"text\": \"<script>alert('1')</script> & "
    "\\\"so\\\"\"}\n";

static void put_run(const char *root, const char *run, const char *recipe)
{
    char name[128];
    snprintf(name, sizeof name, "%s/log.jsonl", run);
    put(root, name, log_lines);
    snprintf(name, sizeof name, "%s/recipe.full.yaml", run);
    put(root, name, recipe);
    snprintf(name, sizeof name, "%s/manifest.json", run);
    put(root, name, "{\"version\": \"0.1\", \"data\": {\"train.tsv\": \"abc\"}}");
    snprintf(name, sizeof name, "%s/step-000002/model.safetensors", run);
    put_model(root, name);
}

/* the page about up to three runs below `root`; to be freed */
static char *page_of(const char *root, const char *a, const char *b)
{
    char first[256], second[256], out[256];
    const char *runs[] = { path_in(root, a, first), b ? path_in(root, b, second) : NULL };
    struct mega_text text = { 0 };
    if (mega_report_write(runs, b ? 2 : 1, path_in(root, "out.html", out)))
        fail_msg("%s", mega_message());
    assert_int_equal(mega_file_read(out, &text), MEGA_OK);
    return text.data;
}

static void expect(const char *page, const char *part)
{
    if (!strstr(page, part)) fail_msg("the page does not contain %s", part);
}

static void expect_not(const char *page, const char *part)
{
    if (strstr(page, part)) fail_msg("the page contains %s", part);
}

/* ---- tests ---- */

static void a_page_shows_figures_curves_recipe_parameters_and_manifest(void **state)
{
    put_run(*state, "one", "optim:\n  lr: 0.001\n");
    char *page = page_of(*state, "one", NULL);
    expect(page, "<h1>one</h1>");
    expect(page, "Accuracy, valid</h3><b>75.00 %</b><small>best, step 1<");
    expect(page, "Loss, valid</h3><b>2</b><small>best, step 1<");
    expect(page, "Updates</h3><b>2</b><small>in epoch 2<");
    expect(page, "Time</h3><b>1 m 15 s</b>");
    expect(page, "Tokens/s</h3><b>12,345</b>");
    expect(page, "Parameters</h3><b>13</b><small>2 tensors<");
    expect(page, "<figcaption>Gradient norm</figcaption>");
    expect(page, "<b>  lr</b>: 0.001\n");
    expect(page, "<code>a.weight</code></td><td class='number'>4 \xc3\x97 3</td>");
    expect(page, "<code>data.train.tsv</code></td><td>abc</td>");
    expect_not(page, "Absent or broken");
    free(page);
}

static void a_confusion_matrix_shows_counts_and_what_was_found(void **state)
{
    put_run(*state, "one", "a: 1\n");
    char *page = page_of(*state, "one", NULL);
    expect(page, "valid, step 2: rows are the true classes");
    expect(page, "title='30 of 40'>30</td>");
    expect(page, "<td class='share'>75.0 %</td>");
    expect(page, "<td class='share'>none</td>"); /* no row truly was of class 1 */
    free(page);
}

static void values_that_are_not_finite_are_marked_not_drawn(void **state)
{
    put_run(*state, "one", "a: 1\n");
    char *page = page_of(*state, "one", NULL);
    expect(page, "<title>train, step 2: nan</title>");
    expect(page, "<title>train, step 2: inf</title>");
    expect_not(page, "Lnan");
    expect_not(page, "-nan");
    free(page);
}

static void the_page_is_whole_in_itself_and_escapes_what_it_shows(void **state)
{
    put_run(*state, "<b>&", "# \xff\x01 </pre>\na: 1\n");
    char *page = page_of(*state, "<b>&", NULL);
    expect_not(page, "<script");
    expect_not(page, "http");
    expect_not(page, "src=");
    expect_not(page, "url(");
    expect(page, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;so&quot;");
    expect(page, "<h1>&lt;b&gt;&amp;</h1>");
    expect(page, "# \xef\xbf\xbd\xef\xbf\xbd &lt;/pre&gt;");
    expect(page, "b&lt;i&gt;</code></td><td class='number'>scalar</td>");
    free(page);
}

static void several_runs_share_charts_and_their_differences_are_listed(void **state)
{
    put_run(*state, "one", "optim:\n  lr: 0.001\n  warmup: 5\nseed: 1\n");
    put_run(*state, "two", "optim:\n  lr: 0.002\nseed: 1\nmilestones: [1, 2]\n");
    char *page = page_of(*state, "one", "two");
    expect(page, "<h1>2 runs</h1>");
    expect(page, "one, valid <b>50.00 %</b>");
    expect(page, "two, valid <b>50.00 %</b>");
    expect(page, "<code>optim.lr</code></td><td>0.001</td><td>0.002</td>");
    expect(page, "<code>optim.warmup</code></td><td>5</td><td></td>");
    expect(page, "<code>milestones</code></td><td></td><td>[1, 2]</td>");
    expect_not(page, "<code>seed</code>");
    free(page);
}

static void runs_whose_folders_end_alike_are_called_by_their_paths(void **state)
{
    put_run(*state, "a/run", "x: 1\n");
    put_run(*state, "b/run", "x: 1\n");
    char *page = page_of(*state, "a/run", "b/run");
    expect(page, "a/run, valid");
    expect(page, "b/run, valid");
    expect(page, "None: the recipes that could be read are the same.");
    free(page);
}

static void what_is_absent_or_broken_is_said_on_the_page(void **state)
{
    put(*state, "one/log.jsonl",
        "{\"kind\": \"train\", \"step\": 1, \"loss\": 2}\n"
        "{\"kind\": \"train\", \"loss\": 2}\n"
        "{\"kind\": \"some later kind\"}\n"
        "{\"kind\": \"train\", \"st");
    put(*state, "one/recipe.yaml", "a: 1\na: 2\n");
    put(*state, "one/step-7/model.safetensors", "version https://git-lfs");
    char *page = page_of(*state, "one", NULL);
    expect(
        page, "log.jsonl: 2 of 4 lines are not whole and were left out; the first is line 2");
    expect(page, "recipe.full.yaml: absent; recipe.yaml is shown");
    expect(page, "recipe: "); /* a key given twice, in the parser's words */
    expect(page, "manifest.json: absent");
    expect(page, "step-7/model.safetensors: ");
    expect(page, "Loss, train</h3><b>2</b>");
    free(page);
}

static void a_run_that_has_not_begun_has_no_curves(void **state)
{
    put(*state, "one/recipe.full.yaml", "a: 1\n");
    char *page = page_of(*state, "one", NULL);
    expect(page, "No curves: the log holds no numbers.");
    expect(page, "log.jsonl: absent");
    expect(page, "step-*/model.safetensors: absent");
    free(page);
}

static void the_newest_step_is_the_one_with_the_highest_number(void **state)
{
    put_model(*state, "one/step-9/model.safetensors");
    put_model(*state, "one/step-000010/model.safetensors");
    put_model(*state, "one/step-11.part/model.safetensors");
    put(*state, "one/step-000012/state.txt", "no model in it yet");
    char *page = page_of(*state, "one", NULL);
    expect(page, "13 values in 2 tensors, from step-000010/model.safetensors");
    free(page);
}

static void long_curves_become_means_in_a_band(void **state)
{
    struct mega_text log = { 0 };
    for (int step = 1; step <= 5000; step++)
        mega_text_add(
            &log, "{\"kind\": \"train\", \"step\": %d, \"loss\": %d}\n", step, 1 + step % 2);
    put(*state, "one/log.jsonl", log.data);
    mega_text_done(&log);
    char *page = page_of(*state, "one", NULL);
    expect(page, "class='band f0'");
    assert_true(strlen(page) < 40000);
    free(page);
}

static void no_run_folder_is_a_clear_error(void **state)
{
    char path[256], out[256];
    path_in(*state, "out.html", out);
    put(*state, "file", "");
    put(*state, "empty/else.txt", "");
    assert_int_equal(mega_report_write(NULL, 0, out), MEGA_BAD_ARGUMENT);
    static const struct {
        const char *folder, *says;
    } bad[] = {
        { "nowhere", "expected the folder of a run, found nothing" },
        { "file", "expected the folder of a run, found a file" },
        { "empty", "it holds neither log.jsonl nor" },
    };
    for (int i = 0; i < 3; i++) {
        const char *run = path_in(*state, bad[i].folder, path);
        assert_int_equal(mega_report_write(&run, 1, out), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), bad[i].says)) fail_msg("%s", mega_message());
    }
    assert_false(mega_path_exists(out));
}

#define ROOTED(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOTED(a_page_shows_figures_curves_recipe_parameters_and_manifest),
        ROOTED(a_confusion_matrix_shows_counts_and_what_was_found),
        ROOTED(values_that_are_not_finite_are_marked_not_drawn),
        ROOTED(the_page_is_whole_in_itself_and_escapes_what_it_shows),
        ROOTED(several_runs_share_charts_and_their_differences_are_listed),
        ROOTED(runs_whose_folders_end_alike_are_called_by_their_paths),
        ROOTED(what_is_absent_or_broken_is_said_on_the_page),
        ROOTED(a_run_that_has_not_begun_has_no_curves),
        ROOTED(the_newest_step_is_the_one_with_the_highest_number),
        ROOTED(long_curves_become_means_in_a_band),
        ROOTED(no_run_folder_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
