#include <string.h>

#include "train/report_html.h"
#include "train/report_sections.h"
#include "train/report_tree.h"

struct table {
    struct mega_text *to;
    const struct mega_report_run *run;
    int n;
    int walked; /* the run whose settings are visited */
    int rows;
};

/* the value of a run at a path; empty if it has none */
static struct mega_text value_at(const struct mega_report_run *run, const char *path)
{
    struct mega_text value = { 0 };
    const struct mega_node *root = run->settings.root;
    const struct mega_node *node = root ? mega_node_find(root, path) : NULL;
    if (node) mega_tree_print(node, &value);
    return value;
}

static bool same_in_all(const struct table *t, const char *path)
{
    struct mega_text first = value_at(&t->run[0], path);
    bool same = true;
    for (int r = 1; r < t->n && same; r++) {
        struct mega_text other = value_at(&t->run[r], path);
        same = first.size == other.size &&
               (first.size == 0 || !memcmp(first.data, other.data, first.size));
        mega_text_done(&other);
    }
    mega_text_done(&first);
    return same;
}

/* a row for a setting that differs, at the first run that has it */
static void visit(void *arg, const char *path, const struct mega_node *node)
{
    (void)node;
    struct table *t = arg;
    for (int r = 0; r < t->walked; r++)
        if (t->run[r].settings.root && mega_node_find(t->run[r].settings.root, path)) return;
    if (same_in_all(t, path)) return;
    t->rows++;
    mega_text_add(t->to, "<tr><td><code>");
    mega_html_add(t->to, path);
    mega_text_add(t->to, "</code></td>");
    for (int r = 0; r < t->n; r++) {
        struct mega_text value = value_at(&t->run[r], path);
        mega_text_add(t->to, "<td>");
        mega_html_add_bytes(t->to, value.data, value.size);
        mega_text_add(t->to, "</td>");
        mega_text_done(&value);
    }
    mega_text_add(t->to, "</tr>\n");
}

void mega_report_differences(struct mega_text *to, const struct mega_report_run *run, int n)
{
    if (n < 2) return;
    struct table t = { .to = to, .run = run, .n = n };
    mega_text_add(to, "<h2>Settings that differ</h2>\n<section class='card scroll'><table>\n"
                      "<tr><th>Setting</th>");
    for (int r = 0; r < n; r++) {
        mega_text_add(to, "<th>");
        mega_html_add(to, run[r].label);
        mega_text_add(to, "</th>");
    }
    mega_text_add(to, "</tr>\n");
    for (; t.walked < n; t.walked++)
        if (run[t.walked].settings.root) mega_tree_walk(run[t.walked].settings.root, visit, &t);
    mega_text_add(to, "</table>%s</section>\n",
        t.rows ? ""
               : "<p class='absent'>None: the recipes that could be read are the same.</p>");
}
