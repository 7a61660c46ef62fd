/* Labelled texts as bytes: TSV and JSON lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/examples.h"
#include "format/node.h"
#include "format/tsv.h"

enum { COLUMNS = 64 };

struct reader {
    struct mega_examples *examples;
    const struct mega_examples_layout *layout;
    const char *name;
    int32_t *id; /* room for one text */
    size_t room;
};

static mega_status add_row(struct reader *r, const char *text, size_t n, const char *label,
    size_t label_size, int64_t line)
{
    if (n > r->room) {
        int32_t *more = realloc(r->id, 2 * n * sizeof *more);
        if (!more)
            return mega_fail(MEGA_NO_MEMORY, "%s:%lld: no memory for a text of %zu bytes",
                r->name, (long long)line, n);
        r->id = more;
        r->room = 2 * n;
    }
    for (size_t i = 0; i < n; i++) r->id[i] = (unsigned char)text[i] + 1;
    return mega_examples_add(
        r->examples, r->id, (int64_t)n, r->layout->max_length, label, label_size, line);
}

mega_status mega_examples_add_bytes(
    struct mega_examples *e, const char *text, size_t n, int64_t max_length)
{
    struct mega_examples_layout layout = { .max_length = max_length };
    struct reader r = { .examples = e, .layout = &layout, .name = "the text" };
    mega_status status = add_row(&r, text, n, NULL, 0, 1);
    free(r.id);
    return status;
}

/* ---- TSV ---- */

/* "3" -> 2; -1 for a name */
static int column_number(const char *column)
{
    size_t n = strlen(column);
    if (!n || n > 3 || strspn(column, "0123456789") != n || atoi(column) < 1) return -1;
    return atoi(column) - 1;
}

static int column_named(const struct mega_field *field, int n, const char *name)
{
    for (int i = 0; i < n && i < COLUMNS; i++)
        if (field[i].size == strlen(name) && !memcmp(field[i].data, name, field[i].size))
            return i;
    return -1;
}

struct columns {
    int label, text; /* from 0; label -1: not wanted */
};

static mega_status find_column(
    const struct reader *r, const struct mega_field *field, int n, const char *column, int *out)
{
    *out = column_number(column);
    if (*out >= 0) return MEGA_OK;
    *out = column_named(field, n, column);
    if (*out >= 0) return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE,
        "%s:1: no column is called '%s' in the header; name one that is, or give its number "
        "from 1",
        r->name, column);
}

/* settles the columns by the first row; *header: it is one */
static mega_status find_columns(const struct reader *r, const struct mega_field *field, int n,
    struct columns *c, bool *header)
{
    const struct mega_examples_layout *o = r->layout;
    bool named =
        column_number(o->text_column) < 0 || (o->labels && column_number(o->label_column) < 0);
    /* texts alone: a single column needs no name */
    if (!o->labels && n == 1 && o->header != MEGA_HEADER_YES &&
        column_named(field, n, o->text_column) < 0) {
        *c = (struct columns){ -1, 0 };
        *header = false;
        return MEGA_OK;
    }
    if (named && o->header == MEGA_HEADER_NO)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s: without a header the columns '%s' and '%s' must be given as numbers from 1",
            r->name, o->label_column, o->text_column);
    *header = named || o->header == MEGA_HEADER_YES;
    c->label = -1;
    if (o->labels) MEGA_TRY(find_column(r, field, n, o->label_column, &c->label));
    return find_column(r, field, n, o->text_column, &c->text);
}

static mega_status take_row(struct reader *r, const struct mega_tsv *t,
    const struct mega_field *field, int n, const struct columns *c)
{
    int most = c->label > c->text ? c->label : c->text;
    if (most >= n || most >= COLUMNS)
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: %d columns, expected at least %d", r->name,
            (long long)t->line, n, most + 1);
    const struct mega_field *label = c->label >= 0 ? &field[c->label] : NULL;
    if (label && !label->size)
        return mega_fail(
            MEGA_BAD_FILE, "%s:%lld: the label is empty", r->name, (long long)t->line);
    if (label && memchr(label->data, 0, label->size))
        return mega_fail(
            MEGA_BAD_FILE, "%s:%lld: the label holds a NUL", r->name, (long long)t->line);
    return add_row(r, field[c->text].data, field[c->text].size, label ? label->data : NULL,
        label ? label->size : 0, t->line);
}

static mega_status read_tsv(struct reader *r, const void *bytes, size_t size)
{
    struct mega_tsv t;
    struct mega_field field[COLUMNS];
    struct columns c = { -1, 0 };
    int n;
    mega_tsv_start(&t, r->name, bytes, size);
    for (bool first = true; mega_tsv_next(&t, field, COLUMNS, &n); first = false) {
        bool header = false;
        if (first) MEGA_TRY(find_columns(r, field, n, &c, &header));
        if (!header) MEGA_TRY(take_row(r, &t, field, n, &c));
    }
    return MEGA_OK;
}

/* ---- JSON lines ---- */

static mega_status take_object(struct reader *r, const struct mega_node *root, int64_t line)
{
    const struct mega_examples_layout *o = r->layout;
    const struct mega_node *text = mega_node_find(root, o->text_column),
                           *label = o->labels ? mega_node_find(root, o->label_column) : NULL;
    if (!text || text->kind != MEGA_NODE_TEXT)
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: the key \"%s\" is missing or no text",
            r->name, (long long)line, o->text_column);
    if (o->labels &&
        (!label || (label->kind != MEGA_NODE_TEXT && label->kind != MEGA_NODE_INT &&
                       label->kind != MEGA_NODE_BOOL)))
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: the key \"%s\" is missing or no label",
            r->name, (long long)line, o->label_column);
    if (label && (!label->size || strlen(label->text) != label->size))
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: the label is empty or holds a NUL", r->name,
            (long long)line);
    return add_row(
        r, text->text, text->size, label ? label->text : NULL, label ? label->size : 0, line);
}

/* nothing but blanks; the bytes end where n says, not with a NUL */
static bool is_blank(const char *at, size_t n)
{
    while (n && (*at == ' ' || *at == '\t' || *at == '\r')) at++, n--;
    return !n;
}

static mega_status read_json_lines(struct reader *r, const char *at, size_t size)
{
    const char *end = at + size;
    for (int64_t line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        char where[512];
        struct mega_document d;
        snprintf(where, sizeof where, "%.400s (row %lld)", r->name, (long long)line);
        if (!is_blank(at, n)) {
            MEGA_TRY(mega_json_parse(&d, where, at, n));
            mega_status status =
                d.root->kind == MEGA_NODE_MAP
                    ? take_object(r, d.root, line)
                    : mega_fail(MEGA_BAD_FILE, "%s: expected an object", where);
            mega_document_done(&d);
            if (status) return status;
        }
        at = stop ? stop + 1 : end;
    }
    return MEGA_OK;
}

mega_status mega_examples_read_text(struct mega_examples *e, const char *name,
    const void *bytes, size_t n, const struct mega_examples_layout *layout)
{
    *e = (struct mega_examples){ .hash = mega_hash(bytes, n) };
    struct reader r = { .examples = e, .layout = layout, .name = name };
    const char *p = bytes;
    size_t bom = n >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3) ? 3 : 0;
    mega_status status = n > bom && p[bom] == '{' ? read_json_lines(&r, p + bom, n - bom)
                                                  : read_tsv(&r, bytes, n);
    free(r.id);
    if (status) mega_examples_done(e);
    return status;
}
