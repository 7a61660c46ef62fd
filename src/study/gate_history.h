/* The gates of evaluation at each validation of a run, from its log.jsonl. */
#ifndef MEGA_STUDY_GATE_HISTORY_H
#define MEGA_STUDY_GATE_HISTORY_H

#include "study/head_table.h"

struct mega_gate_moment {
    double step;
    struct mega_head_table gate;
};
struct mega_gate_history {
    struct mega_gate_moment *moment;
    int64_t n;
};

/* Reads the gates that log.jsonl holds; none of another model's shape, none where there is no
 * such file. */
mega_status mega_gate_history_read(
    struct mega_gate_history *h, const char *path, const struct mega_model_heads *heads);
void mega_gate_history_free(struct mega_gate_history *h);

/* The first moment from which on a head stayed closed to the end, or -1. */
int64_t mega_gate_history_closed(const struct mega_gate_history *h, int64_t cell);

#endif
