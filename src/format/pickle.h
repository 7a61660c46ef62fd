/* Python pickles, read without running anything.
 *
 * The stack machine of protocols 2 to 5 builds plain values. A pickle names classes and
 * functions of Python; none of them exists here: a table says which names are known and what
 * becomes of a call, and everything else is refused by its name. Memory is bounded by one
 * arena, work by the bytes of the pickle. */
#ifndef MEGA_FORMAT_PICKLE_H
#define MEGA_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum mega_value_kind {
    MEGA_VALUE_NONE,
    MEGA_VALUE_BOOL,  /* integer */
    MEGA_VALUE_INT,   /* integer */
    MEGA_VALUE_LONG,  /* beyond 64 bits: bytes in two's complement, the lowest first */
    MEGA_VALUE_REAL,  /* real */
    MEGA_VALUE_TEXT,  /* text, size */
    MEGA_VALUE_BYTES, /* text, size */
    MEGA_VALUE_LIST,  /* item, n */
    MEGA_VALUE_TUPLE,
    MEGA_VALUE_SET,
    MEGA_VALUE_MAP,    /* item: keys and values in turn; n: twice the pairs */
    MEGA_VALUE_CLASS,  /* text: "module.name" */
    MEGA_VALUE_OBJECT, /* of the class `text`: what it holds, as a map */
    MEGA_VALUE_FOREIGN /* what a table made: tag, thing */
};

/* Values may be shared and may hold themselves: who walks them bounds depth and steps. */
struct mega_value {
    enum mega_value_kind kind;
    int tag;
    union {
        int64_t integer;
        double real;
        size_t size;
        void *thing;
    };
    const char *text; /* ends with a NUL, and may hold others */
    struct mega_value **item;
    size_t n, room;
};

struct mega_pickle {
    struct mega_arena arena;
    const char *name; /* "model.pt: archive/data.pkl", for messages; borrowed */
};

enum mega_pickle_known {
    MEGA_PICKLE_UNKNOWN,
    MEGA_PICKLE_INERT, /* its objects are kept as class name and state */
    MEGA_PICKLE_CALLED /* `call` answers */
};

/* What a pickle's names stand for, beside Python's own containers. */
struct mega_pickle_world {
    void *self;
    enum mega_pickle_known (*knows)(const char *name);
    mega_status (*call)(void *self, struct mega_pickle *p, const char *name,
        const struct mega_value *args, struct mega_value **out);
    mega_status (*persistent)(void *self, struct mega_pickle *p, const struct mega_value *id,
        struct mega_value **out);
};

mega_status mega_pickle_init(struct mega_pickle *p, const char *name);
void mega_pickle_done(struct mega_pickle *p);

/* Reads the pickle that begins at bytes[*at] and moves *at behind it. Texts are copied.
 * Messages name the byte. */
mega_status mega_pickle_read(struct mega_pickle *p, const unsigned char *bytes, size_t n,
    size_t *at, const struct mega_pickle_world *world, struct mega_value **root);

/* ---- values ---- */

/* A new value of the pickle; NULL: no memory (mega_pickle_no_memory tells). */
struct mega_value *mega_value_new(struct mega_pickle *p, enum mega_value_kind kind);
struct mega_value *mega_value_text(
    struct mega_pickle *p, enum mega_value_kind kind, const void *bytes, size_t n);
mega_status mega_value_add(
    struct mega_pickle *p, struct mega_value *to, struct mega_value *item);
mega_status mega_pickle_no_memory(const struct mega_pickle *p);

/* The value of a text key in a map or object, the last one given; NULL: none. */
const struct mega_value *mega_value_find(const struct mega_value *map, const char *key);

/* Answers calls of Python's own containers and bytes; *out NULL: the name is none of them. */
mega_status mega_pickle_call_plain(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out);
bool mega_pickle_knows_plain(const char *name);

#endif
