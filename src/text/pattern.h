/* Patterns of tokenizers: a regular expression, or a text that stands for itself. */
#ifndef MEGA_TEXT_PATTERN_H
#define MEGA_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "format/node.h"
#include "text/vocab.h"

struct mega_pattern; /* compiled; shared by threads */
struct mega_matcher; /* one thread's memory for matching; fits every pattern */

/* `where` begins the message if the expression is refused. */
mega_status mega_pattern_compile(
    struct mega_pattern **out, const char *where, const char *expression, size_t size);
mega_status mega_pattern_literal(
    struct mega_pattern **out, const char *where, const char *text, size_t size);
/* The "pattern" of a node of tokenizer.json: { "String": ... } or { "Regex": ... }. */
mega_status mega_pattern_read(
    struct mega_pattern **out, const struct mega_document *d, const struct mega_node *node);
void mega_pattern_free(struct mega_pattern *p);

mega_status mega_matcher_new(struct mega_matcher **out);
void mega_matcher_free(struct mega_matcher *m);

/* The first match in text[from ... n), valid UTF-8; *start = n + 1: there is none. An empty
 * match is one too. */
mega_status mega_pattern_find(const struct mega_pattern *p, struct mega_matcher *m,
    const char *text, size_t n, size_t from, size_t *start, size_t *stop);

#endif
