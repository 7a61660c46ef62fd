/* mega heads report: one HTML page about a model's heads. */
#ifndef MEGA_STUDY_HEAD_REPORT_H
#define MEGA_STUDY_HEAD_REPORT_H

#include "study/head_functions.h"
#include "study/head_maps.h"

/* The gates of evaluation at a validation of the run. */
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

/* A text whose maps are shown. */
struct mega_head_text {
    struct mega_head_maps maps;
    char **token; /* [maps.T] how its places are called */
};

enum { MEGA_REPORT_TABLES = 4 };
struct mega_head_report {
    const char *name;
    const mega_model *model;
    double loss; /* on the data that were looked at */
    const struct mega_head_table *table[MEGA_REPORT_TABLES]; /* importance, by methods */
    const char *title[MEGA_REPORT_TABLES];
    int n_tables;
    const struct mega_head_functions *functions;
    const struct mega_gate_history *history;
    const struct mega_head_text *text;
    int64_t n_texts;
};

/* Writes the page, whole or not at all. It needs nothing else: drawings are inline SVG, there
 * is no script, nothing is fetched. */
mega_status mega_head_report_write(const struct mega_head_report *r, const char *path);

/* Its parts, each in a file of its own: matrices of heads; maps of a text. */
void mega_head_report_matrix(
    struct mega_text *to, const struct mega_head_table *t, const char *title, const char *note);
void mega_head_report_maps(struct mega_text *to, const struct mega_head_text *text, int64_t n);

#endif
