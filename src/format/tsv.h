/* TSV as IMDB and LRA write it: no quoting, a row ends at LF or CRLF and nowhere else, any
 * bytes. */
#ifndef MEGA_FORMAT_TSV_H
#define MEGA_FORMAT_TSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

struct mega_field {
    const char *data;
    size_t size;
};

/* Walks rows over bytes that someone else holds. A BOM at the start is skipped, a last row
 * without newline is kept. */
struct mega_tsv {
    const char *name; /* for messages */
    const char *at, *end;
    int64_t line; /* of the row last read, from 1 */
};
void mega_tsv_start(struct mega_tsv *t, const char *name, const void *bytes, size_t n);

/* The next row; false at the end. `n` receives the number of fields found (1 for an empty row),
 * of which the first `most` are stored in `field`. */
int mega_tsv_next(struct mega_tsv *t, struct mega_field *field, int most, int *n);

#endif
