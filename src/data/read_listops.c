/* Files of ListOps. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/examples.h"
#include "data/listops.h"
#include "data/listops_make.h"
#include "format/tsv.h"

static bool is(const struct mega_field *f, const char *word)
{
    return f->size == strlen(word) && !memcmp(f->data, word, f->size);
}

static bool is_digit(const struct mega_field *f)
{
    return f->size == 1 && *f->data >= '0' && *f->data <= '9';
}

/* what a row holds; source NULL: the header */
struct row {
    const struct mega_field *source, *label;
};

/* LRA writes source and target, the original label and source; a lone field is a tree without
 * label */
static mega_status split_row(const struct mega_tsv *t, const struct mega_field *field, int n,
    bool labels, struct row *row)
{
    *row = (struct row){ 0 };
    if (t->line == 1 && n == 2 && is(&field[0], "Source") && is(&field[1], "Target"))
        return MEGA_OK;
    if (n == 1 && !labels) {
        row->source = &field[0];
        return MEGA_OK;
    }
    if (n != 2)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%lld: %d fields, expected a tree and its value (or value and tree), separated "
            "by a tab",
            t->name, (long long)t->line, n);
    /* a digit alone may be both: the value stands second in LRA's files, and first where the
     * second field is a tree */
    bool first = is_digit(&field[0]) && !is_digit(&field[1]);
    row->label = &field[first ? 0 : 1];
    row->source = &field[first ? 1 : 0];
    if (!is_digit(row->label))
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: the value is '%.*s', expected a digit",
            t->name, (long long)t->line, (int)(row->label->size < 40 ? row->label->size : 40),
            row->label->data);
    return MEGA_OK;
}

/* calls `take` for every tree of the file */
static mega_status each_tree(const char *name, const void *bytes, size_t n, bool labels,
    mega_status (*take)(void *arg, const struct mega_listops *tree,
        const struct mega_field *label, int64_t line),
    void *arg)
{
    struct mega_tsv t;
    struct mega_field field[2];
    struct mega_listops tree = { 0 };
    mega_status status = MEGA_OK;
    int fields;
    mega_tsv_start(&t, name, bytes, n);
    while (!status && mega_tsv_next(&t, field, 2, &fields)) {
        struct row row;
        char where[512];
        status = split_row(&t, field, fields, labels, &row);
        if (status || !row.source) continue;
        snprintf(where, sizeof where, "%.400s:%lld: ", name, (long long)t.line);
        status = mega_listops_parse(&tree, where, row.source->data, row.source->size);
        if (!status) status = take(arg, &tree, row.label, t.line);
    }
    mega_listops_done(&tree);
    return status;
}

/* ---- examples ---- */

struct reading {
    struct mega_examples *examples;
    const struct mega_examples_layout *layout;
};

static mega_status take_example(
    void *arg, const struct mega_listops *tree, const struct mega_field *label, int64_t line)
{
    const struct reading *r = arg;
    bool keep = label && r->layout->labels;
    return mega_examples_add(r->examples, tree->id, tree->n, r->layout->max_length,
        keep ? label->data : NULL, keep ? label->size : 0, line);
}

mega_status mega_examples_read_listops(struct mega_examples *e, const char *name,
    const void *bytes, size_t n, const struct mega_examples_layout *layout)
{
    *e = (struct mega_examples){ .hash = mega_hash(bytes, n) };
    struct reading r = { e, layout };
    mega_status status = each_tree(name, bytes, n, layout->labels, take_example, &r);
    if (status) mega_examples_done(e);
    return status;
}

mega_status mega_examples_add_tree(
    struct mega_examples *e, const char *text, size_t n, int64_t max_length)
{
    struct mega_listops tree = { 0 };
    mega_status status = mega_listops_parse(&tree, "", text, n);
    if (!status) status = mega_examples_add(e, tree.id, tree.n, max_length, NULL, 0, 1);
    mega_listops_done(&tree);
    return status;
}

/* ---- checking ---- */

struct checking {
    mega_listops_wrong_fn *wrong;
    void *arg;
    struct mega_listops_report *report;
};

static mega_status take_check(
    void *arg, const struct mega_listops *tree, const struct mega_field *label, int64_t line)
{
    struct checking *c = arg;
    int found = *label->data - '0';
    c->report->rows++;
    c->report->tokens += tree->n;
    if (tree->n > c->report->longest) c->report->longest = tree->n;
    c->report->label[found]++;
    if (found == tree->value) return MEGA_OK;
    c->report->wrong++;
    if (c->wrong) c->wrong(c->arg, line, found, tree->value);
    return MEGA_OK;
}

mega_status mega_listops_check(
    const char *path, mega_listops_wrong_fn *wrong, void *arg, struct mega_listops_report *out)
{
    struct mega_text text = { 0 };
    *out = (struct mega_listops_report){ 0 };
    struct checking c = { wrong, arg, out };
    mega_status status = mega_file_read_gz(path, &text);
    if (!status) status = each_tree(path, text.data, text.size, true, take_check, &c);
    mega_text_done(&text);
    return status;
}
