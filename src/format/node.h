/* A document tree: what YAML recipes and JSON files become.
 *
 * Every node knows where it stood, so that a wrong value can be named by file, line and column.
 * The tree lives in one arena and dies with its document. */
#ifndef MEGA_FORMAT_NODE_H
#define MEGA_FORMAT_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/option.h"
#include "base/text.h"

enum mega_node_kind {
    MEGA_NODE_NULL,
    MEGA_NODE_BOOL,
    MEGA_NODE_INT,
    MEGA_NODE_REAL,
    MEGA_NODE_TEXT,
    MEGA_NODE_LIST,
    MEGA_NODE_MAP
};

struct mega_node {
    enum mega_node_kind kind;
    int line, column; /* from 1; 0: made by a program, or (JSON) not known */
    const char *key;  /* the name under which it stands in a map; NULL elsewhere */
    const char *text; /* as written (scalars, quoted or not); NUL-terminated */
    size_t size;      /* bytes of text: it may hold NULs */
    bool boolean;
    int64_t integer;
    double real;                    /* also set for MEGA_NODE_INT */
    struct mega_node *first, *next; /* children in order of appearance; the next sibling */
};

struct mega_document {
    struct mega_arena arena;
    char *name; /* of the file, for messages */
    struct mega_node *root;
};

/* YAML 1.2 core schema (json: JSON, RFC 8259). Refused, with line and column: keys given twice
 * (both places), tabs in indentation, anchors and aliases, tags, more than one document,
 * nesting deeper than 64, a root that is not a map, text that is not UTF-8, numbers that
 * overflow. A BOM and CRLF are accepted. */
mega_status mega_yaml_parse(
    struct mega_document *d, const char *name, const void *bytes, size_t n);
mega_status mega_json_parse(
    struct mega_document *d, const char *name, const void *bytes, size_t n);
mega_status mega_yaml_load(struct mega_document *d, const char *path);
mega_status mega_json_load(struct mega_document *d, const char *path);
void mega_document_done(struct mega_document *d);

/* A child by key, or NULL; `path` may be dotted ("optim.lr"). */
struct mega_node *mega_node_find(const struct mega_node *map, const char *path);

/* Sets the scalar at a dotted path from text as it would stand in a recipe ("optim.lr=1e-3"
 * split at the '='), making maps on the way. */
mega_status mega_node_set(struct mega_document *d, const char *path, const char *value);

/* Fills the struct `out` from a map by an option table: defaults first, then what the map
 * holds. Unknown keys, wrong types, values outside limits and missing required keys are refused
 * with file, line, column, what was expected, what was found and the nearest key. `map` may be
 * NULL (all defaults). Texts point into the document. `except` names keys that are not in this
 * table but allowed ("a|b"), or NULL. */
mega_status mega_node_read(const struct mega_document *d, const struct mega_node *map,
    const char *section, const struct mega_option *table, const char *except, void *out);

/* The same for a map that several tables share, each for a struct of its own. */
mega_status mega_node_read_tables(const struct mega_document *d, const struct mega_node *map,
    const char *where, const struct mega_option *const table[], void *const out[], int n);

/* The same with other defaults: lists of settings ("norm=rmsnorm rotary=rope"), ended by NULL,
 * of which each holds where the map says nothing; a later one stands above an earlier one. What
 * no table knows is passed over. NULL: none. */
mega_status mega_node_read_filled(const struct mega_document *d, const struct mega_node *map,
    const char *where, const struct mega_option *const table[], void *const out[], int n,
    const char *const filled[]);

/* Fills defaults alone; texts point at the table. Required options stay zero. */
void mega_option_defaults(const struct mega_option *table, void *out);

/* Sets one option from text (a command line), same rules. */
mega_status mega_option_parse(
    const struct mega_option *o, const char *where, const char *text, void *out);

/* The next "name=value" of settings with blanks between, cut in two; false: none is left, or
 * what comes is none (then *settings stays there). */
bool mega_setting_next(const char **settings, char name[64], char value[64]);

/* Sets the option (or what the alias means) of this name from text; lists "8, 3, 0" go into the
 * arena. */
mega_status mega_option_assign(struct mega_arena *arena, const struct mega_option *table,
    const char *name, const char *text, void *out);

/* Appends `out`'s values as YAML lines ("  lr: 0.001\n"), indented, in table order; reading
 * them back gives the same values. */
void mega_option_print(
    const struct mega_option *table, const void *values, int indent, struct mega_text *to);

/* JSON text: escapes so that any bytes give valid JSON (invalid UTF-8 becomes U+FFFD); numbers
 * that are not finite become the strings "nan", "inf", "-inf". Reals are printed with the
 * fewest digits that read back as the same value. */
void mega_json_add_text(struct mega_text *to, const char *bytes, size_t n);
void mega_json_add_real(struct mega_text *to, double value);
void mega_json_add_node(struct mega_text *to, const struct mega_node *node, int indent);

/* The shortest decimal that reads back as the same double (or float); `out` holds at least 32
 * bytes. */
void mega_real_print(double value, char *out);

#endif
