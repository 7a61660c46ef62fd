/* Option values as JSON members, for config.json and manifests. */
#ifndef MEGA_FORMAT_OPTION_JSON_H
#define MEGA_FORMAT_OPTION_JSON_H

#include "base/option.h"
#include "base/text.h"

/* Appends `"name": value` for every option, each on its own line after `indent` blanks,
 * separated by commas; the first one is preceded by a comma if `more`. */
void mega_option_add_json(struct mega_text *to, const struct mega_option *table,
    const void *values, int indent, bool more);

/* Appends the value of an option that is one number or a list: 8 or [8, 3, 0]. */
void mega_option_add_series(
    struct mega_text *to, const struct mega_option *o, const void *values);

/* "name|name|...": the names of a table, as mega_node_read takes them for keys that belong to
 * another table. */
void mega_option_add_names(struct mega_text *to, const struct mega_option *table);

#endif
