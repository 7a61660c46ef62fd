/* The plots of mega bench models: speed and memory by length, one line a model and engine. */
#ifndef MEGA_CLI_BENCH_PLOT_H
#define MEGA_CLI_BENCH_PLOT_H

#include "cli/bench_row.h"

/* One self-contained SVG, light or dark as its reader is: training where it was measured, else
 * inference, else generation. */
void mega_bench_plot(struct mega_text *to, const struct mega_rows_list *rows);

#endif
