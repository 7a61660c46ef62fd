/* Labelled texts in memory: one file becomes rows of ids. */
#ifndef MEGA_DATA_EXAMPLES_H
#define MEGA_DATA_EXAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "base/text.h"

struct mega_examples {
    int32_t *id;    /* all rows one after the other */
    int64_t *start; /* [n + 1]: row i is id[start[i]] ... id[start[i + 1] - 1] */
    int32_t *label; /* [n]; -1 where there is none */
    int64_t *line;  /* [n] of the file */
    int64_t n, ids; /* rows; ids in all */
    int64_t cut;    /* rows longer than allowed: their head was kept */
    uint64_t hash;  /* of the file's bytes */
    int64_t room, id_room;
    struct mega_text names; /* label names as read, NUL-terminated, in the order of rows */
    int64_t *name;          /* [n] where row i's name begins; -1: none */
};

void mega_examples_done(struct mega_examples *e);

/* How a file is read. */
struct mega_examples_layout {
    const char *label_column,
        *text_column;   /* a header's name, a JSON key, or a number from 1 */
    int header;         /* MEGA_HEADER_... */
    bool labels;        /* rows carry labels: a missing one is refused */
    int64_t max_length; /* longer rows are cut there; 0: no limit */
};
enum { MEGA_HEADER_AUTO, MEGA_HEADER_YES, MEGA_HEADER_NO };
#define MEGA_HEADER_CHOICES "auto|yes|no"

/* ListOps: LRA's files (header Source, Target), the original `label<TAB>source`, or, without
 * labels, one tree a row. Every label is a digit; it is not compared with the tree's value
 * (mega data listops --check does that). */
mega_status mega_examples_read_listops(struct mega_examples *e, const char *name,
    const void *bytes, size_t n, const struct mega_examples_layout *layout);

/* Texts as bytes, id = byte + 1: TSV, or JSON objects one a line (recognised by a first '{').
 * header auto: there is a header if a column is given by name. An empty text is a row without
 * ids. Without labels a row of one field is its text. */
mega_status mega_examples_read_text(struct mega_examples *e, const char *name,
    const void *bytes, size_t n, const struct mega_examples_layout *layout);

/* One text without label as a row: a printed tree; any bytes. */
mega_status mega_examples_add_tree(
    struct mega_examples *e, const char *text, size_t n, int64_t max_length);
mega_status mega_examples_add_bytes(
    struct mega_examples *e, const char *text, size_t n, int64_t max_length);

/* Moves the rows whose hash falls into a share (0 ... 1) over to `out`: the same rows whatever
 * their order. */
mega_status mega_examples_split(
    struct mega_examples *e, double share, struct mega_examples *out);

/* ---- for readers ---- */

/* Adds a row; `label` may be NULL. Ids beyond max_length (0: none) are cut off. */
mega_status mega_examples_add(struct mega_examples *e, const int32_t *id, int64_t n,
    int64_t max_length, const char *label, size_t label_size, int64_t line);

/* ---- labels ---- */

/* The distinct label names, sorted (as numbers if all are whole numbers, else by bytes): the
 * same table whatever the order of rows. `out` items are one allocation, freed by
 * mega_labels_done. */
mega_status mega_labels_collect(const struct mega_examples *e, struct mega_texts *out);
void mega_labels_done(struct mega_texts *labels);

/* Sets label[] from the table; a name that is not in it is refused with file and line. */
mega_status mega_labels_apply(
    struct mega_examples *e, const char *file, const struct mega_texts *labels);

#endif
