/* Line charts as inline SVG. */
#ifndef MEGA_TRAIN_REPORT_CHART_H
#define MEGA_TRAIN_REPORT_CHART_H

#include "train/report_html.h"
#include "train/report_log.h"

enum { MEGA_CHART_COLOURS = 8 };

struct mega_chart_line {
    const char *label;
    int colour; /* 0 to MEGA_CHART_COLOURS - 1 */
    bool marks; /* dots at the points: for curves of few */
    const struct mega_curve *curve;
};

struct mega_chart {
    struct mega_quantity quantity;
    const char *x; /* what the steps are; NULL: step */
    bool wide;     /* takes the page's width, not half of it */
    const struct mega_chart_line *line;
    int n_lines;
};

/* A <figure> with title, legend and drawing. Long curves are drawn as means over equal ranges
 * of steps, in front of a band from the lowest to the highest value where there are few lines;
 * values that are not finite are left out of the curve and marked at the top. */
void mega_chart_add(struct mega_text *to, const struct mega_chart *chart);

#endif
