/* A run's log.jsonl as curves over steps. */
#ifndef MEGA_TRAIN_REPORT_LOG_H
#define MEGA_TRAIN_REPORT_LOG_H

#include <stdint.h>

#include "base/fail.h"

struct mega_point {
    double step, value; /* value may be NaN or infinite */
};

/* One quantity of one split: every number in "train" lines (split "train") and "valid" lines
 * (the line's "split", else "valid") that is not bookkeeping. In the order of the log. */
struct mega_curve {
    char split[32], quantity[48];
    struct mega_point *at;
    int n, room;
};

/* The latest confusion matrix: cell[true class * classes + predicted class]. */
struct mega_confusion {
    int classes; /* 0: the log has none */
    double *cell;
    double step;
    char split[32];
};

struct mega_log_note {
    double step; /* NaN: not given */
    char *text;
};

struct mega_run_log {
    struct mega_curve *curve;
    int n_curves;
    struct mega_confusion confusion;
    struct mega_log_note *note;
    int n_notes;
    double step, epoch;                  /* the latest in train lines; NaN: none */
    double seconds, tokens;              /* of all updates */
    int64_t lines, broken, first_broken; /* no JSON, or numbers without a step */
};

mega_status mega_run_log_read(struct mega_run_log *log, const char *path);
void mega_run_log_done(struct mega_run_log *log);

const struct mega_curve *mega_run_log_find(
    const struct mega_run_log *log, const char *split, const char *quantity); /* or NULL */

#endif
