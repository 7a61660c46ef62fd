/* Spare memory: what died on the way back and may be handed out again.
 *
 * Places that touch grow together; a request gets the end of the smallest place that holds it,
 * since what dies next lies before it: so the rest of the place goes on growing. What does not
 * fit in the table is forgotten. */
#ifndef MEGA_GRAPH_SPARE_H
#define MEGA_GRAPH_SPARE_H

#include <stddef.h>

enum { SPARE_MOST = 64 };

struct spare {
    struct spare_place {
        char *at;
        size_t size;
    } place[SPARE_MOST];
    int n;
};

void spare_give(struct spare *s, void *at, size_t size);
void *spare_take(struct spare *s, size_t size); /* NULL: no place is large enough */
void spare_cut(struct spare *s, const void *from, const void *to); /* forgets what lies there */

#endif
