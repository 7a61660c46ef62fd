/* mega heads report: one HTML page about a model's heads, and its numbers as JSON and CSV. */
#ifndef MEGA_STUDY_HEAD_REPORT_H
#define MEGA_STUDY_HEAD_REPORT_H

#include "study/contributions.h"
#include "study/gate_history.h"
#include "study/head_functions.h"
#include "study/head_maps.h"
#include "study/head_removal.h"
#include "study/head_syntax.h"
#include "train/report_log.h"

/* One number of each head. */
struct mega_report_table {
    const char *name; /* in files */
    const char *title, *unit, *note;
    const struct mega_head_table *table;
    bool has_sign; /* values on both sides of 0 */
    bool hidden;   /* in files alone */
};

/* A text whose maps are shown. */
struct mega_head_text {
    struct mega_head_maps maps;
    char **token;                      /* [maps.T] how its places are called */
    struct mega_contributions made_of; /* predictions 0: not wanted */
    char **predicted;                  /* [predictions] how they are called */
};

enum { MEGA_REPORT_TABLES = 32 };
struct mega_head_report {
    const char *name;
    const char *data; /* what was looked at, in words */
    const mega_model *model;
    double loss;                                        /* on the data */
    int64_t texts, places;                              /* that were looked at */
    struct mega_report_table table[MEGA_REPORT_TABLES]; /* importance first; [0] gives ranks */
    int n_tables, n_importance;
    const struct mega_head_functions *functions;
    const struct mega_head_syntax *syntax;   /* NULL: no sentences were given */
    const struct mega_head_removal *removal; /* steps 0: not wanted */
    const struct mega_gate_history *history;
    const struct mega_run_log *log; /* of the run; no curves: a model without one */
    const struct mega_head_text *text;
    int64_t n_texts, most_maps; /* maps of a text that are drawn */
    int32_t *rank; /* [layers, heads] by table[0], 0 the largest of its layer; -1: not there */
};

/* Adds a table while there is room. */
void mega_head_report_add(struct mega_head_report *r, struct mega_report_table t);

/* Writes the page, whole or not at all. It needs nothing else: drawings are inline SVG, the
 * script stands in it, and it allows nothing to be fetched. Fills r->rank. */
mega_status mega_head_report_write(struct mega_head_report *r, const char *path);

/* The same numbers as one JSON object, and as lines "layer,head,...". */
mega_status mega_head_report_json(const struct mega_head_report *r, const char *path);
mega_status mega_head_report_csv(const struct mega_head_report *r, const char *path);

/* ---- its parts, each in a file of its own ---- */

extern const char mega_head_report_style[], mega_head_report_script[];

void mega_head_report_matrix(
    struct mega_text *to, const struct mega_head_report *r, const struct mega_report_table *t);
void mega_head_report_roles(struct mega_text *to, const struct mega_head_report *r);
void mega_head_report_extremes(struct mega_text *to, const struct mega_head_report *r);
void mega_head_report_gates(struct mega_text *to, const struct mega_head_report *r);
void mega_head_report_removal(struct mega_text *to, const struct mega_head_report *r);
void mega_head_report_maps(
    struct mega_text *to, const struct mega_head_report *r, int64_t text);

/* How the numbers of a table are written: in a few letters each. */
struct mega_head_unit {
    double factor; /* values are multiplied by it */
    int power;     /* that was taken out: 10^power */
    bool whole;    /* all are whole numbers */
};
struct mega_head_unit mega_head_report_unit(const struct mega_head_table *t);
void mega_head_report_number(const struct mega_head_unit *u, double value, char out[32]);

/* The smallest and the largest value; false: there is none. */
bool mega_head_table_range(const struct mega_head_table *t, double *least, double *most);

#endif
