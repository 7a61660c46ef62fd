/* One line of the table of mega bench models: a model on an engine, and what its runs gave. */
#ifndef MEGA_CLI_BENCH_ROW_H
#define MEGA_CLI_BENCH_ROW_H

#include "cli/bench_engine.h"
#include "cli/child.h"

struct mega_bench_run {
    int round;
    double tokens_per_s, step_ms, peak_mb; /* step: the median of the run's steps */
    double import_mb;     /* of a peer's peak, what importing torch took; NaN for ours */
    double load, seconds; /* of the machine before it; of the whole process */
    char *line;           /* the JSON object that it printed */
};

struct mega_row {
    const struct mega_subject *subject;
    const struct mega_engine *engine;
    struct mega_bench_run *run;
    int n;
    bool given_up;  /* a run failed, or it cannot fit: it is not asked again */
    bool broken;    /* given up, and not for a limit */
    char note[320]; /* why */
};

struct mega_rows_list {
    struct mega_row *item;
    int n;
};

/* A row for each model and engine that has it, in groups of one mode and length. */
mega_status mega_rows_list_init(struct mega_rows_list *rows,
    const struct mega_subjects *subjects, const struct mega_engines *engines, int rounds);
void mega_rows_list_done(struct mega_rows_list *rows);

/* Gives up a row of which shorter ones tell that it takes more than the limits. */
void mega_row_predict(struct mega_row *row, const struct mega_rows_list *rows,
    const struct mega_child_limits *limits);

/* One run in a process of its own. What goes wrong there is the row's note; an error means that
 * measuring must end (MEGA_STOPPED: a signal asked for it). */
mega_status mega_row_measure(struct mega_row *row, int round,
    const struct mega_bench_setup *setup, const struct mega_child_limits *limits);

/* What the table says of a row; NaN where there is nothing to say. */
struct mega_row_summary {
    double tokens_per_s, least, most; /* median and range over rounds */
    double step_ms, peak_mb, load;    /* median; the largest; the largest */
    double utilisation;               /* of `gflops` */
    double to_transformer; /* speed over the Transformer's on the same engine: median of ratios
                              within a round */
    double ours;           /* our speed over this one's, likewise */
};
struct mega_row_summary mega_row_summarise(
    const struct mega_row *row, const struct mega_rows_list *rows, double gflops);

#endif
