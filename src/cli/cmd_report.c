/* mega report: one HTML page about one or several runs. */
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "train/report.h"

struct options {
    const char *out;
};

static const struct mega_option options[] = {
    { "out", MEGA_OPTION_TEXT, offsetof(struct options, out), "", 0, 0, NULL, "FILE",
        "where the page goes; empty: report.html in the first run's folder", 'o' },
    { 0 },
};

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    char own[1280];
    snprintf(own, sizeof own, "%.1200s/report.html", line->word[0]);
    const char *out = *o->out ? o->out : own;
    mega_status status = mega_report_write(line->word, line->n_words, out);
    if (status) return mega_command_fail(status);
    printf("%s\n", out);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_report = {
    .name = "report",
    .summary = "Write one HTML page of curves and tables about runs",
    .words = "RUN...",
    .least = 1,
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "The page needs nothing from the network. It shows the curves of loss, metric, "
              "learning rate, gradient norm and speed, the "
              "recipe, the parameters and the confusion of the last validation; of several "
              "runs the curves lie over each other.",
    .run = run,
};
