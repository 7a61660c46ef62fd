/* The catalogue of variants: what can be changed about the Transformer, entry by entry, each in
 * its slot (docs/adr/0007). It says what an option does and does nothing itself. */
#ifndef MEGA_MODEL_VARIANTS_H
#define MEGA_MODEL_VARIANTS_H

#include <stdbool.h>

#include "base/option.h"

struct mega_variant {
    const char *name, *title; /* "alibi"; for people */
    const char *paper;        /* its number at arXiv, or another source; "": none */
    const char *slot;         /* "A4": where it stands in the data flow */
    const char *options;      /* what turns it on: "rel_pos=alibi"; "N" for a number of one's
                                 own. Several are separated by blanks */
    const char *more;         /* "a|b": options that matter with it alone; "": none */
    const char *adds;         /* parameters: names, shapes and first values; "": none */
    const char *cost;         /* what it costs more, or saves */
    const char *executor;     /* of attention: tiles, tiles twice, strips; "": any */
    const char *mathematics, *pitfalls;
    const char *conflicts; /* what it cannot be combined with; "": nothing */
};

/* All groups of slots, each ended by an entry without a name; then NULL. */
extern const struct mega_variant *const mega_variant_groups[];

/* Options that are no variants: sizes, rates and how it is computed ("a|b"). */
extern const char mega_variant_core[];

/* The entry with this name, or NULL. */
const struct mega_variant *mega_variant_find(const char *name);

/* The name nearest to a misspelt one; NULL if none is near. */
const char *mega_variant_nearest(const char *name);

/* Whether a table has the options and values that turn it on. */
bool mega_variant_is_in(const struct mega_variant *v, const struct mega_option *table);

/* The i-th setting of an entry cut in two; false: there is none. */
bool mega_variant_setting(const struct mega_variant *v, int i, char name[64], char value[64]);

#endif
