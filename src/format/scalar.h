/* Scalars of the YAML 1.2 core schema, and what the parsers of this room share. */
#ifndef MEGA_FORMAT_SCALAR_H
#define MEGA_FORMAT_SCALAR_H

#include "format/node.h"

enum { MEGA_NODE_DEPTH = 64 }; /* deeper nesting is refused */

#define MEGA_DOCUMENT_RESERVE ((size_t)1 << 34)

/* Gives a plain (unquoted) scalar its kind and value: null, bool, int (010 is ten, 0x10 and
 * 0o17 are hexadecimal and octal), real (also .inf and .nan), else text. */
void mega_scalar_resolve(struct mega_node *n);

/* Copies a node's value (not its key) into another document. False: no memory. */
bool mega_node_copy(
    struct mega_document *d, struct mega_node *to, const struct mega_node *from);

/* Refuses a map that holds a key twice, naming both places; `quote` stands around the key in
 * the message. */
mega_status mega_node_check_keys(
    struct mega_document *d, const struct mega_node *map, const char *quote);

/* Length of the valid UTF-8 character at p, 0 if there is none. */
int mega_utf8_length(const unsigned char *p, const unsigned char *end);

#endif
