/* A document tree flattened: dotted paths and values in one line. */
#ifndef MEGA_TRAIN_REPORT_TREE_H
#define MEGA_TRAIN_REPORT_TREE_H

#include "format/node.h"

/* Calls visit(arg, path, node) for every value that is no map, in order. */
void mega_tree_walk(const struct mega_node *map,
    void (*visit)(void *arg, const char *path, const struct mega_node *node), void *arg);

/* Appends a value as it might stand in a recipe ("[8, 5, 0]"). */
void mega_tree_print(const struct mega_node *node, struct mega_text *to);

#endif
