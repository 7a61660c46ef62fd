/* Another program, run to its end under limits, its output kept. */
#ifndef MEGA_CLI_CHILD_H
#define MEGA_CLI_CHILD_H

#include "base/text.h"

enum mega_child_end {
    MEGA_CHILD_DONE,        /* by itself, with status 0 */
    MEGA_CHILD_FAILED,      /* by itself, with another status */
    MEGA_CHILD_CRASHED,     /* by a signal that was not ours */
    MEGA_CHILD_OVER_TIME,   /* ended by us: `seconds` had passed */
    MEGA_CHILD_OVER_MEMORY, /* ended by us: more than `memory_mb` was resident */
    MEGA_CHILD_STOPPED      /* ended by us: a signal asked this program to stop */
};

struct mega_child_limits {
    double seconds, memory_mb; /* memory in 10^6 bytes; 0: no limit */
};

struct mega_child {
    enum mega_child_end end;
    int code;                  /* the exit status, or the signal's number */
    double seconds, peak_mb;   /* the most that was resident, in 10^6 bytes */
    struct mega_text out, err; /* what it wrote */
};

/* Runs argv[0] (looked for as a shell would) with its arguments; it reads nothing, and is ended
 * together with all that it started. A program that cannot be started is an error. */
mega_status mega_child_run(
    struct mega_child *c, char *const *argv, const struct mega_child_limits *limits);
void mega_child_done(struct mega_child *c);

/* The last line with something on it, without its newline; "" if there is none. Cuts the text
 * there. */
const char *mega_text_last_line(struct mega_text *t);

#endif
