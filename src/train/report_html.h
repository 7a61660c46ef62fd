/* Words and numbers on their way into HTML. */
#ifndef MEGA_TRAIN_REPORT_HTML_H
#define MEGA_TRAIN_REPORT_HTML_H

#include <stdint.h>

#include "base/text.h"

/* Text as content or attribute value: markup is escaped; bytes that are no UTF-8 and control
 * characters become U+FFFD. */
void mega_html_add(struct mega_text *to, const char *text);
void mega_html_add_bytes(struct mega_text *to, const char *bytes, size_t n);

/* Numbers for people: 12345678 as "12,345,678"; 6200 s as "1 h 43 m"; values with some four
 * digits ("0.4123", "2.5e-05", "nan"). `out` holds at least 32 bytes. */
void mega_html_count(int64_t n, char *out);
void mega_html_duration(double seconds, char *out);
void mega_html_value(double value, char *out);

/* How the page speaks of a quantity of the log. */
struct mega_quantity {
    const char *name, *title, *unit;
    double scale;     /* from the log's value to the unit */
    bool lower_wins;  /* the best value is the lowest */
    bool wide_ranged; /* a logarithmic axis where it pays */
};

/* The entry for a name; others are shown as they are, under their own name, and the highest
 * wins. */
struct mega_quantity mega_quantity_find(const char *name);

/* A value of it with its unit ("87.31 %"). */
void mega_quantity_print(const struct mega_quantity *q, double value, char *out);

extern const char mega_html_style[]; /* the page's CSS */

#endif
