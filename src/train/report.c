#include "train/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/report_html.h"
#include "train/report_sections.h"

/* runs whose folders end alike are called by their whole paths */
static void tell_apart(struct mega_report_run *run, int n)
{
    bool alike = false;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) alike = alike || !strcmp(run[i].label, run[j].label);
    for (int i = 0; alike && i < n; i++)
        snprintf(run[i].label, sizeof run->label, "%s", run[i].folder);
}

static void write_page(struct mega_text *to, const struct mega_report_run *run, int n)
{
    mega_text_add(to, "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n"
                      "<meta name='viewport' content='width=device-width'>\n<title>");
    mega_html_add(to, run[0].label);
    if (n > 1) mega_text_add(to, " and %d more", n - 1);
    mega_text_add(to,
        " \xe2\x80\x93 mega report</title>\n<style>\n%s</style>\n<main>\n<header>"
        "<p>mega report</p><h1>",
        mega_html_style);
    if (n == 1)
        mega_html_add(to, run[0].label);
    else
        mega_text_add(to, "%d runs", n);
    mega_text_add(to, "</h1></header>\n");

    mega_report_summary(to, run, n);
    mega_report_curves(to, run, n);
    mega_report_differences(to, run, n);
    for (int i = 0; i < n; i++) {
        mega_text_add(to, "<h2>");
        mega_html_add(to, n == 1 ? "Details" : run[i].label);
        mega_text_add(to, "</h2>\n");
        mega_report_details(to, &run[i], n == 1);
    }
    mega_text_add(to, "</main>\n</html>\n");
}

mega_status mega_report_write(const char *const *run, int n_runs, const char *out_path)
{
    if (n_runs < 1)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "report: expected at least one run folder, found none");
    struct mega_report_run *read = calloc((size_t)n_runs, sizeof *read);
    if (!read) return mega_fail(MEGA_NO_MEMORY, "report: no memory for %d runs", n_runs);
    mega_status status = MEGA_OK;
    for (int i = 0; i < n_runs && !status; i++) status = mega_report_run_open(&read[i], run[i]);
    if (!status) {
        struct mega_text page = { 0 };
        tell_apart(read, n_runs);
        write_page(&page, read, n_runs);
        status = page.failed ? mega_fail(MEGA_NO_MEMORY, "report: no memory for the page")
                             : mega_file_write(out_path, page.data, page.size);
        mega_text_done(&page);
    }
    for (int i = 0; i < n_runs; i++) mega_report_run_close(&read[i]);
    free(read);
    return status;
}
