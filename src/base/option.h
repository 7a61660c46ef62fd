/* Options as data.
 *
 * One table describes the fields of a struct: names, types, defaults, limits, help. Recipes and
 * config files are checked against it, command lines parsed by it, and usage text, man pages,
 * completion and the manual are printed from it. */
#ifndef MEGA_BASE_OPTION_H
#define MEGA_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mega_option_type {
    MEGA_OPTION_INT,    /* int64_t */
    MEGA_OPTION_REAL,   /* double */
    MEGA_OPTION_BOOL,   /* bool */
    MEGA_OPTION_TEXT,   /* const char *: borrowed from the document or command line it came from
                         */
    MEGA_OPTION_CHOICE, /* int: index into `choices` */
    MEGA_OPTION_TEXTS,  /* struct mega_texts: a list */
    MEGA_OPTION_INTS,   /* struct mega_ints: one whole number, or a list of them */
    MEGA_OPTION_REALS,  /* struct mega_reals: one number, or a list */
    MEGA_OPTION_ALIAS   /* no field: another word for other rows of the table (MEGA_ALIAS) */
};

struct mega_texts {
    const char **item;
    int n;
};

/* One value for all places, or a list with a value for each; the list is borrowed from the
 * document that it came from. */
struct mega_ints {
    int64_t each; /* where n is 0 */
    const int64_t *item;
    int n;
};
struct mega_reals {
    double each;
    const double *item;
    int n;
};

static inline int64_t mega_ints_at(const struct mega_ints *l, int64_t i)
{
    return !l->n ? l->each : l->item[i < l->n ? i : l->n - 1];
}

static inline double mega_reals_at(const struct mega_reals *l, int64_t i)
{
    return !l->n ? l->each : l->item[i < l->n ? i : l->n - 1];
}

struct mega_option {
    const char *name; /* NULL ends the table */
    enum mega_option_type type;
    size_t offset;        /* of the field in its struct */
    const char *fallback; /* the default, written as in a recipe; NULL: must be given */
    double least, most;   /* limits of numbers, inclusive; both 0: none */
    const char *choices;  /* "softmax|laplace|relu2" */
    const char *unit;     /* what stands for the value in usage text: "N", "FILE", "RATE" */
    const char *help;     /* one line: what it does, and its source where it matters */
    char letter;          /* a short flag on the command line, or 0 */
};

#define MEGA_FIELD(type, member) offsetof(type, member)

/* Another word for settings of the same table, "norm=rmsnorm" or several with blanks between;
 * a value `*` is the one that is given. Without a `*` the word is a switch: true means
 * `settings`; false means `otherwise`, or nothing where that is NULL. "talking+=pre" adds a
 * choice to the one that there is, where choices are bits. */
#define MEGA_ALIAS(name, settings, otherwise)                                                  \
    {                                                                                          \
        name, MEGA_OPTION_ALIAS, 0, "", 0, 0, settings, otherwise, "", 0                       \
    }

/* The entry with this name, or NULL. */
const struct mega_option *mega_option_find(const struct mega_option *table, const char *name);

/* The name in the table nearest to a misspelt one; NULL if none is near. */
const char *mega_option_nearest(const struct mega_option *table, const char *name);

/* The n-th word of "a|b|c", copied to `out` (at most `size` bytes); its length, or -1 past the
 * end. */
int mega_choice_name(const char *choices, int n, char *out, size_t size);

/* The place of `word` in "a|b|c", or -1. */
int mega_choice_find(const char *choices, const char *word);

#endif
