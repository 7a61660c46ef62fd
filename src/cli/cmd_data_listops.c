/* mega data listops: makes Long Range Arena's ListOps, or checks files of it. */
#include <stddef.h>

#include "cli/command.h"
#include "cli/open.h"
#include "cli/screen.h"
#include "data/listops_make.h"
#include "graph/context.h"

struct options {
    const char *out, *check;
    struct mega_listops_set set;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)
#define LENGTH_MOST 1e7

static const struct mega_option options[] = {
    { "out", MEGA_OPTION_TEXT, AT(out), "data/listops", 0, 0, NULL, "FOLDER",
        "where basic_train.tsv, basic_val.tsv and basic_test.tsv go", 'o' },
    { "check", MEGA_OPTION_TEXT, AT(check), "", 0, 0, NULL, "FILE",
        "make nothing: compute the labels of FILE again and name the wrong ones", 0 },
    { "train", MEGA_OPTION_INT, AT(set.train), "96000", 0, 1e8, NULL, "N", "trees to train on",
        0 },
    { "valid", MEGA_OPTION_INT, AT(set.valid), "2000", 0, 1e8, NULL, "N",
        "trees to validate with", 0 },
    { "test", MEGA_OPTION_INT, AT(set.test), "2000", 0, 1e8, NULL, "N", "trees to test with",
        0 },
    { "min-length", MEGA_OPTION_INT, AT(set.min_length), "500", 0, LENGTH_MOST, NULL, "N",
        "trees have more tokens than this", 0 },
    { "max-length", MEGA_OPTION_INT, AT(set.max_length), "2000", 0, LENGTH_MOST, NULL, "N",
        "and fewer than this", 0 },
    { "depth", MEGA_OPTION_INT, AT(set.depth), "10", 1, 100, NULL, "N",
        "deepest level of a tree; operators nest one less", 0 },
    { "args", MEGA_OPTION_INT, AT(set.args), "10", 2, 1000, NULL, "N",
        "most arguments of an operator", 0 },
    { "seed", MEGA_OPTION_INT, AT(set.seed), "1", 0, 9007199254740991.0, NULL, "N",
        "the same seed gives the same files", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

static void say_wrong(void *arg, int64_t line, int label, int value)
{
    printf("%s:%lld: the label is %d, the tree's value %d\n", (const char *)arg,
        (long long)line, label, value);
}

static int check(const char *file)
{
    struct mega_listops_report report;
    mega_status status = mega_listops_check(file, say_wrong, (void *)(uintptr_t)file, &report);
    if (status) return mega_command_fail(status);
    int64_t most = 0;
    for (int d = 0; d < 10; d++)
        if (report.label[d] > most) most = report.label[d];
    printf("%lld rows, %lld wrong labels; %.1f tokens a tree, at most %lld; majority class "
           "%.2f%%\n",
        (long long)report.rows, (long long)report.wrong,
        report.rows ? (double)report.tokens / (double)report.rows : 0,
        (long long)report.longest, report.rows ? 100 * (double)most / (double)report.rows : 0);
    return report.wrong ? MEGA_EXIT_FAILED : MEGA_EXIT_OK;
}

static void progress(void *arg, int64_t found, int64_t wanted)
{
    const struct mega_screen *screen = arg;
    char line[64];
    snprintf(line, sizeof line, "%lld of %lld trees", (long long)found, (long long)wanted);
    if (screen->status && (found == wanted || found % 16 == 0))
        screen->status(screen->arg, line);
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    if (*o->check) return check(o->check);
    mega_context *c;
    mega_status status = mega_open_context(&c, &o->open);
    if (status) return mega_command_fail(status);
    struct mega_screen screen = mega_screen_open(false);
    status = mega_listops_make(&c->work, &o->set, o->out, progress, &screen);
    mega_screen_close();
    mega_context_free(c);
    if (status) return mega_command_fail(status);
    printf("%s: %lld trees to train, %lld to validate, %lld to test\n", o->out,
        (long long)o->set.train, (long long)o->set.valid, (long long)o->set.test);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_data_listops = {
    .name = "data listops",
    .summary = "Make the ListOps data of Long Range Arena, or check a file of it",
    .words = "",
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Trees grow by LRA's rules: a node is an operator with probability 1/4 and has 2 to 10 "
        "arguments, all drawn anew until the length "
        "fits; all trees are distinct. Files are printed exactly as LRA's, header included.\n\n"
        "--check reads LRA's files and the original short form (label, tab, tree). It ends "
        "with status 1 if a label is wrong.\n\n"
        "The majority class is larger than a tenth, since MIN and MAX pile up on 0 and 9: "
        "state its rate beside an accuracy.",
    .run = run,
};
