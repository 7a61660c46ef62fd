/* The parts of the page, each in a file of its own; all append HTML. */
#ifndef MEGA_TRAIN_REPORT_SECTIONS_H
#define MEGA_TRAIN_REPORT_SECTIONS_H

#include "train/report_run.h"

/* The figures that matter: tiles for one run, a table for several. */
void mega_report_summary(struct mega_text *to, const struct mega_report_run *run, int n);

/* One chart for each quantity of the logs, the runs' curves over each other. */
void mega_report_curves(struct mega_text *to, const struct mega_report_run *run, int n);

/* Which settings of the recipes differ; nothing for one run. */
void mega_report_differences(struct mega_text *to, const struct mega_report_run *run, int n);

/* Confusion matrix, recipe, parameters, manifest, notes, and what is missing; `open`: unfolded.
 */
void mega_report_details(struct mega_text *to, const struct mega_report_run *run, bool open);

/* The colour of a run among n, or of a split where there is one run. */
int mega_report_colour(int run, int n, const char *split);

#endif
