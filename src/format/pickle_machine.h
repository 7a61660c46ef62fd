/* The inside of the pickle machine: its state, and the steps that deal with classes and
 * objects. */
#ifndef MEGA_FORMAT_PICKLE_MACHINE_H
#define MEGA_FORMAT_PICKLE_MACHINE_H

#include "format/pickle.h"

struct mega_pickle_machine {
    struct mega_pickle *p;
    const struct mega_pickle_world *world;
    const unsigned char *bytes, *at, *end;
    struct mega_value **stack, **memo;
    size_t n, room, memo_room, remembered;
    size_t *mark, marks, mark_room;
    struct mega_value *none, *yes, *no;
    bool stopped;
};

/* "<name>: byte <place>: <what>" */
mega_status mega_pickle_refuse(const struct mega_pickle_machine *m, const char *what);

/* Up to the end of the line, without it. */
mega_status mega_pickle_line(
    struct mega_pickle_machine *m, const unsigned char **out, size_t *n);

/* Refuses if fewer than n values stand above the last mark. */
mega_status mega_pickle_need(const struct mega_pickle_machine *m, size_t n);
struct mega_value *mega_pickle_top(const struct mega_pickle_machine *m);

/* NULL: no memory was left. */
mega_status mega_pickle_push(struct mega_pickle_machine *m, struct mega_value *v);

/* Opcodes. */
mega_status mega_pickle_global(struct mega_pickle_machine *m);
mega_status mega_pickle_stack_global(struct mega_pickle_machine *m);
mega_status mega_pickle_reduce(struct mega_pickle_machine *m);
mega_status mega_pickle_new_with_names(struct mega_pickle_machine *m);
mega_status mega_pickle_build(struct mega_pickle_machine *m);
mega_status mega_pickle_persistent(struct mega_pickle_machine *m);

#endif
