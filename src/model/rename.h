/* Names of other programs' tensors and ours: tables, read in both directions.
 *
 * A line says which part of which of their tensors one of ours is, and how it lies there. */
#ifndef MEGA_MODEL_RENAME_H
#define MEGA_MODEL_RENAME_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/param.h"

enum mega_rename_how {
    MEGA_RENAME_AS_IS,
    MEGA_RENAME_TURNED,  /* theirs is [in, out] */
    MEGA_RENAME_QUERIES, /* rows of heads, whose rotary pairs may lie in another order */
    MEGA_RENAME_KEYS,
    MEGA_RENAME_FLAT, /* theirs has no dimensions of one */
    MEGA_RENAME_LAST, /* theirs has no last dimension: it is one place of ours there */
    MEGA_RENAME_SAME  /* a second copy of what has its own line: must be equal */
};

/* Names may hold one number: "{i}" on their side, "{i}", "{i+1}", "{2i}" or "{2i+1}" on ours.
 */
struct mega_rename {
    const char *theirs, *ours;
    enum mega_rename_how how;
    int part, parts; /* ours is the part-th of so many along the outputs; 0: the whole. LAST:
                        the place and how many there are */
};

/* All of a program's names. */
struct mega_name_table {
    const char *title;
    const struct mega_rename *name; /* ended by NULL */
    const char *probe;              /* of theirs, a name that is always there */
    const char *const *ignored;     /* what ends so is no weight; ended by NULL */
    bool interleaved;               /* pairs of channels that turn together lie side by side */
    bool gamma; /* older files call gains "gamma" and biases of norms "beta" */
    bool ours;  /* what has no line is called as ours is; buffers are read, too */
};

extern const struct mega_name_table mega_names_hf_llama, mega_names_meta_llama,
    mega_names_hf_gpt2, mega_names_hf_bert, mega_names_official_lra, mega_names_official_lm,
    mega_names_megalodon, mega_names_hf_megalodon;

enum { MEGA_RENAME_NAME = 512 };

/* A line that our tensor has in the table, with their name; NULL: there is none, or no other
 * after `last`. Most tensors have one. */
const struct mega_rename *mega_rename_theirs(const struct mega_name_table *t, const char *ours,
    const struct mega_rename *last, char theirs[MEGA_RENAME_NAME]);

/* Our name of the second copy that `theirs` is; the table's line, or NULL. */
const struct mega_rename *mega_rename_same(
    const struct mega_name_table *t, const char *theirs, char ours[MEGA_RENAME_NAME]);

/* What else must be known to move numbers. */
struct mega_rename_heads {
    int64_t heads, kv_heads; /* H, G */
    bool interleaved;        /* the order on our side */
};

/* The shape of their whole tensor, from that of ours; returns its rank. */
int mega_rename_shape(
    const struct mega_rename *r, int rank, const int64_t *ours, int64_t *theirs);

/* Where element (row, column) of ours [rows, columns] lies in theirs; -1: not in this one. */
struct mega_rename_place {
    const struct mega_rename *rename;
    int64_t rows, columns;
    int64_t head;      /* rows of a head; 0: pairs stay as they are */
    bool side_by_side; /* the order of pairs on our side, where they do not stay */
};
struct mega_rename_place mega_rename_place(const struct mega_name_table *t,
    const struct mega_rename *r, const struct mega_rename_heads *heads, int64_t rows,
    int64_t columns);
int64_t mega_rename_index(const struct mega_rename_place *p, int64_t row, int64_t column);

#endif
