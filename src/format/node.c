/* The document tree: finding, setting, ending. */
#include "format/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/scalar.h"

void mega_document_done(struct mega_document *d)
{
    mega_arena_done(&d->arena);
    *d = (struct mega_document){ 0 };
}

struct mega_node *mega_node_find(const struct mega_node *map, const char *path)
{
    while (map) {
        size_t n = strcspn(path, ".");
        struct mega_node *child = map->kind == MEGA_NODE_MAP ? map->first : NULL;
        while (child && (strlen(child->key) != n || memcmp(child->key, path, n) != 0))
            child = child->next;
        if (!path[n]) return child;
        path += n + 1;
        map = child;
    }
    return NULL;
}

static bool is_before(const struct mega_node *a, const struct mega_node *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

static int by_key_and_place(const void *a, const void *b)
{
    const struct mega_node *x = *(const struct mega_node *const *)a,
                           *y = *(const struct mega_node *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : is_before(y, x) - is_before(x, y);
}

mega_status mega_node_check_keys(
    struct mega_document *d, const struct mega_node *map, const char *quote)
{
    size_t count = 0, mark = mega_arena_mark(&d->arena);
    for (const struct mega_node *n = map->first; n; n = n->next) count++;
    const struct mega_node **sorted = mega_arena_get(&d->arena, (count + 1) * sizeof *sorted);
    if (!sorted) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", d->name);
    count = 0;
    for (const struct mega_node *n = map->first; n; n = n->next) sorted[count++] = n;
    qsort(sorted, count, sizeof *sorted, by_key_and_place);
    const struct mega_node *first = NULL, *second = NULL;
    for (size_t i = 1; i < count; i++) {
        bool twice = !strcmp(sorted[i]->key, sorted[i - 1]->key);
        if (!twice || (second && is_before(second, sorted[i]))) continue;
        first = sorted[i - 1];
        second = sorted[i];
    }
    mega_arena_release(&d->arena, mark);
    if (!second) return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE,
        "%s:%d:%d: the key %s%.200s%s stands here for the second time, first on line %d",
        d->name, second->line, second->column, quote, second->key, quote, first->line);
}

static struct mega_node *add_child(
    struct mega_document *d, struct mega_node *map, const char *key, size_t n)
{
    struct mega_node *node = mega_arena_zeroed(&d->arena, sizeof *node);
    char *copy = mega_arena_get(&d->arena, n + 1);
    if (!node || !copy) return NULL;
    memcpy(copy, key, n);
    copy[n] = 0;
    node->key = copy;
    struct mega_node **end = &map->first;
    while (*end) end = &(*end)->next;
    return *end = node;
}

/* the map at the path up to the last dot, made where it is missing */
static struct mega_node *enter_maps(struct mega_document *d, const char **path)
{
    struct mega_node *map = d->root;
    for (size_t n; map && (n = strcspn(*path, "."), (*path)[n]); *path += n + 1) {
        char key[128];
        if (!n || n >= sizeof key) return NULL;
        memcpy(key, *path, n);
        key[n] = 0;
        struct mega_node *child = mega_node_find(map, key);
        if (!child) {
            child = add_child(d, map, key, n);
            if (child) child->kind = MEGA_NODE_MAP;
        }
        if (child && child->kind == MEGA_NODE_NULL) child->kind = MEGA_NODE_MAP;
        map = child && child->kind == MEGA_NODE_MAP ? child : NULL;
    }
    return map;
}

mega_status mega_node_set(struct mega_document *d, const char *path, const char *value)
{
    const char *name = path;
    struct mega_node *map = enter_maps(d, &name);
    if (!map || !*name)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s is not a key of a section", path);
    if (!*value) return mega_fail(MEGA_BAD_ARGUMENT, "%s has no value", path);
    if (strpbrk(value, "\r\n"))
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: expected a value of one line", path);
    struct mega_text text = { 0 };
    struct mega_document one = { 0 };
    /* the value is read as it would be in a file, lists included */
    mega_text_add(&text, "v: %s\n", value);
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to set %s", path)
                                     : mega_yaml_parse(&one, path, text.data, text.size);
    struct mega_node *from = status ? NULL : mega_node_find(one.root, "v");
    struct mega_node *to = mega_node_find(map, name);
    if (from && !to) to = add_child(d, map, name, strlen(name));
    if (!status && (!from || !to || !mega_node_copy(d, to, from)))
        status = mega_fail(MEGA_NO_MEMORY, "no memory to set %s", path);
    mega_document_done(&one);
    mega_text_done(&text);
    return status;
}

bool mega_node_copy(struct mega_document *d, struct mega_node *to, const struct mega_node *from)
{
    const char *key = to->key;
    struct mega_node *next = to->next;
    *to = *from;
    to->key = key;
    to->next = next;
    to->line = to->column = 0;
    to->first = NULL;
    if (from->text) {
        char *text = mega_arena_get(&d->arena, from->size + 1);
        if (!text) return false;
        memcpy(text, from->text, from->size + 1);
        to->text = text;
    }
    for (const struct mega_node *child = from->first; child; child = child->next) {
        struct mega_node *copy =
            add_child(d, to, child->key ? child->key : "", child->key ? strlen(child->key) : 0);
        if (!copy) return false;
        if (!child->key) copy->key = NULL;
        if (!mega_node_copy(d, copy, child)) return false;
    }
    return true;
}

static mega_status load(struct mega_document *d, const char *path,
    mega_status (*parse)(struct mega_document *, const char *, const void *, size_t))
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read(path, &text);
    if (!status) status = parse(d, path, text.data, text.size);
    mega_text_done(&text);
    return status;
}

mega_status mega_yaml_load(struct mega_document *d, const char *path)
{
    return load(d, path, mega_yaml_parse);
}

mega_status mega_json_load(struct mega_document *d, const char *path)
{
    return load(d, path, mega_json_parse);
}
