/* Where a run tells of itself: a status line or plain lines on standard error, log.jsonl,
 * TensorBoard events.
 *
 * One record goes to all of them. After a resume the files are cut back to the step that the
 * run goes on from, so that no step stands there twice. */
#ifndef MEGA_TRAIN_SINKS_H
#define MEGA_TRAIN_SINKS_H

#include "base/text.h"
#include "train/run_folder.h"
#include <stdbool.h>

enum mega_record_kind { MEGA_RECORD_TRAIN, MEGA_RECORD_VALID, MEGA_RECORD_NOTE };

struct mega_value {
    const char *name;
    double value;
};

struct mega_record {
    enum mega_record_kind kind;
    int64_t step, epoch;
    const char *split; /* VALID */
    const char *note;  /* NOTE: the text */
    struct mega_value value[32];
    int n;
    const char *extra; /* more JSON members, or NULL */
};

/* Adds one number to a record. */
void mega_record_add(struct mega_record *r, const char *name, double value);

/* What the program shows: the present state (a terminal overwrites it), and lines that stay.
 * Members may be NULL. */
struct mega_screen {
    void (*status)(void *arg, const char *line);
    void (*line)(void *arg, const char *line);
    void *arg;
};

struct mega_sinks {
    int log_fd, events_fd;
    struct mega_screen screen;
    struct mega_text buffer;
    char log_path[1280], events_path[1280];
};

/* Opens the files of a run, cut back to `step` (-1: a fresh run); with `due`, also what the
 * validation after `step` wrote is cut, since that will be run again. */
mega_status mega_sinks_open(struct mega_sinks *s, const struct mega_run_folder *f, int64_t step,
    bool due, const struct mega_screen *screen);
void mega_sinks_close(struct mega_sinks *s);

/* To log.jsonl and the event file. */
mega_status mega_sinks_write(struct mega_sinks *s, const struct mega_record *r);

/* To the screen. */
void mega_sinks_status(struct mega_sinks *s, const char *format, ...) MEGA_PRINTF(2, 3);
void mega_sinks_line(struct mega_sinks *s, const char *format, ...) MEGA_PRINTF(2, 3);

#endif
