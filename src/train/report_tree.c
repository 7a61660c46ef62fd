#include "train/report_tree.h"

struct walk {
    void (*visit)(void *arg, const char *path, const struct mega_node *node);
    void *arg;
    struct mega_text path;
};

static void walk_map(struct walk *w, const struct mega_node *map)
{
    size_t stem = w->path.size;
    for (const struct mega_node *node = map->first; node; node = node->next) {
        mega_text_add(&w->path, "%s%s", stem ? "." : "", node->key);
        if (w->path.failed) return;
        if (node->kind == MEGA_NODE_MAP)
            walk_map(w, node);
        else
            w->visit(w->arg, w->path.data, node);
        w->path.size = stem;
    }
}

void mega_tree_walk(const struct mega_node *map,
    void (*visit)(void *arg, const char *path, const struct mega_node *node), void *arg)
{
    struct walk w = { .visit = visit, .arg = arg };
    walk_map(&w, map);
    mega_text_done(&w.path);
}

void mega_tree_print(const struct mega_node *node, struct mega_text *to)
{
    bool map = node->kind == MEGA_NODE_MAP;
    if (!map && node->kind != MEGA_NODE_LIST) {
        mega_text_add_bytes(to, node->text, node->size);
        return;
    }
    mega_text_add(to, map ? "{" : "[");
    for (const struct mega_node *child = node->first; child; child = child->next) {
        if (map) mega_text_add(to, "%s: ", child->key);
        mega_tree_print(child, to);
        if (child->next) mega_text_add(to, ", ");
    }
    mega_text_add(to, map ? "}" : "]");
}
