/* The index of shards that Hugging Face's tools write. */
#include <stdlib.h>
#include <string.h>

#include "format/tensors.h"

/* a file of the folder itself; the index comes from others */
static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strpbrk(name, "/\\");
}

static mega_status check_entry(const struct mega_document *d, const struct mega_node *n)
{
    if (n->kind != MEGA_NODE_TEXT)
        return mega_fail(
            MEGA_BAD_FILE, "%s: weight_map: tensor %.200s has no file", d->name, n->key);
    if (strlen(n->text) != n->size || !is_plain_name(n->text))
        return mega_fail(MEGA_BAD_FILE,
            "%s: weight_map: tensor %.200s lies in '%.200s': expected a file of the same "
            "folder",
            d->name, n->key, n->text);
    return MEGA_OK;
}

mega_status mega_tensors_index(
    const struct mega_document *d, struct mega_tensors_entry **out, size_t *n, int64_t *total)
{
    const struct mega_node *map = mega_node_find(d->root, "weight_map"),
                           *size = mega_node_find(d->root, "metadata.total_size");
    *out = NULL;
    *n = 0;
    *total = size && size->kind == MEGA_NODE_INT ? size->integer : -1;
    if (!map || map->kind != MEGA_NODE_MAP || !map->first)
        return mega_fail(MEGA_BAD_FILE,
            "%s: weight_map is missing or empty: not an index of shards", d->name);
    for (const struct mega_node *i = map->first; i; i = i->next) {
        MEGA_TRY(check_entry(d, i));
        ++*n;
    }
    *out = calloc(*n, sizeof **out);
    if (!*out) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", d->name);
    struct mega_tensors_entry *to = *out;
    for (const struct mega_node *i = map->first; i; i = i->next)
        *to++ = (struct mega_tensors_entry){ i->key, i->text };
    return MEGA_OK;
}
