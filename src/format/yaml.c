/* YAML recipes: libyaml's events, resolved by the core schema of YAML 1.2. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "format/scalar.h"

struct parser {
    struct mega_document *d;
    const char *text;
    size_t size;
    yaml_parser_t yaml;
    int depth;
};

struct place {
    int line, column;
};

/* of the byte `offset`; columns count characters */
static struct place place_of(const struct parser *p, size_t offset)
{
    struct place at = { 1, 1 };
    for (size_t i = 0; i < offset && i < p->size; i++) {
        if (p->text[i] == '\n')
            at = (struct place){ at.line + 1, 1 };
        else if ((p->text[i] & 0xC0) != 0x80)
            at.column++;
    }
    return at;
}

static mega_status refuse_at(const struct parser *p, const yaml_mark_t *mark, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: %s", p->d->name, (int)mark->line + 1,
        (int)mark->column + 1, what);
}

static mega_status refuse_syntax(const struct parser *p)
{
    const yaml_parser_t *y = &p->yaml;
    if (y->error == YAML_MEMORY_ERROR)
        return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", p->d->name);
    if (y->error == YAML_READER_ERROR) {
        struct place at = place_of(p, y->problem_offset);
        return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: %s, expected UTF-8 text", p->d->name,
            at.line, at.column, y->problem);
    }
    return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: %s%s%s", p->d->name,
        (int)y->problem_mark.line + 1, (int)y->problem_mark.column + 1,
        y->problem ? y->problem : "not YAML", y->context ? ", " : "",
        y->context ? y->context : "");
}

static mega_status next(struct parser *p, yaml_event_t *event)
{
    return yaml_parser_parse(&p->yaml, event) ? MEGA_OK : refuse_syntax(p);
}

static struct mega_node *new_node(struct parser *p, const yaml_mark_t *mark)
{
    struct mega_node *n = mega_arena_zeroed(&p->d->arena, sizeof *n);
    if (n) {
        n->line = (int)mark->line + 1;
        n->column = (int)mark->column + 1;
    }
    return n;
}

static char *copy(struct parser *p, const yaml_event_t *event)
{
    size_t n = event->data.scalar.length;
    char *text = mega_arena_get(&p->d->arena, n + 1);
    if (text) {
        memcpy(text, event->data.scalar.value, n);
        text[n] = 0;
    }
    return text;
}

static mega_status no_memory(const struct parser *p)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", p->d->name);
}

static mega_status check_bare(const struct parser *p, const yaml_event_t *event,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor) return refuse_at(p, &event->start_mark, "anchors (&...) are not read here");
    if (tag) return refuse_at(p, &event->start_mark, "tags (!...) are not read here");
    return MEGA_OK;
}

static mega_status read_scalar(struct parser *p, const yaml_event_t *event, struct mega_node *n)
{
    MEGA_TRY(check_bare(p, event, event->data.scalar.anchor, event->data.scalar.tag));
    n->text = copy(p, event);
    if (!n->text) return no_memory(p);
    n->size = event->data.scalar.length;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        mega_scalar_resolve(n);
    else
        n->kind = MEGA_NODE_TEXT;
    return MEGA_OK;
}

static mega_status read_node(struct parser *p, yaml_event_t *event, struct mega_node *n);

/* reads the next event into `n` */
static mega_status read_next(struct parser *p, struct mega_node *n)
{
    yaml_event_t event;
    MEGA_TRY(next(p, &event));
    n->line = (int)event.start_mark.line + 1;
    n->column = (int)event.start_mark.column + 1;
    mega_status status = read_node(p, &event, n);
    yaml_event_delete(&event);
    return status;
}

/* a key's own place is where messages about it point; the value's takes its place only when it
 * is read */
static mega_status read_member(struct parser *p, struct mega_node **end, yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT)
        return refuse_at(p, &event->start_mark, "expected a key: a word");
    MEGA_TRY(check_bare(p, event, event->data.scalar.anchor, event->data.scalar.tag));
    struct mega_node *n = new_node(p, &event->start_mark);
    char *key = copy(p, event);
    if (!n || !key) return no_memory(p);
    if (strlen(key) != event->data.scalar.length)
        return refuse_at(p, &event->start_mark, "a key with a NUL inside");
    int line = n->line, column = n->column;
    MEGA_TRY(read_next(p, n));
    n->key = key;
    n->line = line;
    n->column = column;
    *end = n;
    return MEGA_OK;
}

static mega_status read_children(struct parser *p, struct mega_node *n, yaml_event_type_t last)
{
    struct mega_node **end = &n->first;
    mega_status status = MEGA_OK;
    for (bool open = true; open && !status;) {
        yaml_event_t event;
        MEGA_TRY(next(p, &event));
        if (event.type == last) {
            open = false;
        } else if (n->kind == MEGA_NODE_MAP) {
            status = read_member(p, end, &event);
        } else {
            *end = new_node(p, &event.start_mark);
            status = *end ? read_node(p, &event, *end) : no_memory(p);
        }
        if (*end) end = &(*end)->next;
        yaml_event_delete(&event);
    }
    if (status || n->kind != MEGA_NODE_MAP) return status;
    return mega_node_check_keys(p->d, n, "");
}

static mega_status read_node(struct parser *p, yaml_event_t *event, struct mega_node *n)
{
    if (event->type == YAML_SCALAR_EVENT) return read_scalar(p, event, n);
    if (event->type == YAML_ALIAS_EVENT)
        return refuse_at(p, &event->start_mark, "aliases (*...) are not read here");
    bool map = event->type == YAML_MAPPING_START_EVENT;
    if (!map && event->type != YAML_SEQUENCE_START_EVENT)
        return refuse_at(p, &event->start_mark, "expected a value");
    MEGA_TRY(map ? check_bare(p, event, event->data.mapping_start.anchor,
                       event->data.mapping_start.tag)
                 : check_bare(p, event, event->data.sequence_start.anchor,
                       event->data.sequence_start.tag));
    if (++p->depth > MEGA_NODE_DEPTH)
        return refuse_at(p, &event->start_mark, "nested too deep");
    n->kind = map ? MEGA_NODE_MAP : MEGA_NODE_LIST;
    mega_status status =
        read_children(p, n, map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT);
    p->depth--;
    return status;
}

/* the stream: one document, whose root is a map (an empty file is an empty map) */
static mega_status read_stream(struct parser *p)
{
    for (bool seen = false;;) {
        yaml_event_t event;
        MEGA_TRY(next(p, &event));
        yaml_event_type_t type = event.type;
        mega_status status = MEGA_OK;
        if (type == YAML_DOCUMENT_START_EVENT && seen)
            status = refuse_at(p, &event.start_mark, "a second document, expected one");
        if (type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT ||
            type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT) {
            seen = true;
            status = read_node(p, &event, p->d->root);
            if (!status && p->d->root->kind != MEGA_NODE_MAP)
                status = p->d->root->kind == MEGA_NODE_NULL
                             ? MEGA_OK
                             : refuse_at(p, &event.start_mark, "expected a map: key: value");
        }
        yaml_event_delete(&event);
        if (status || type == YAML_STREAM_END_EVENT) return status;
    }
}

/* tabs cannot indent in YAML, and libyaml's own words do not say so */
static mega_status check_tabs(const struct mega_document *d, const char *bytes, size_t n)
{
    int line = 1;
    for (size_t i = 0; i < n; line++) {
        size_t at = i;
        while (at < n && bytes[at] == ' ') at++;
        size_t after = at;
        while (after < n && (bytes[after] == ' ' || bytes[after] == '\t')) after++;
        bool blank =
            after >= n || bytes[after] == '\n' || bytes[after] == '\r' || bytes[after] == '#';
        if (at < n && bytes[at] == '\t' && !blank)
            return mega_fail(MEGA_BAD_FILE,
                "%s:%d:%d: a tab at the start of the line: YAML is indented by blanks", d->name,
                line, (int)(at - i) + 1);
        while (i < n && bytes[i] != '\n') i++;
        i++;
    }
    return MEGA_OK;
}

mega_status mega_yaml_parse(
    struct mega_document *d, const char *name, const void *bytes, size_t n)
{
    *d = (struct mega_document){ 0 };
    MEGA_TRY(mega_arena_init(&d->arena, MEGA_DOCUMENT_RESERVE));
    struct parser p = { .d = d };
    d->name = mega_arena_text(&d->arena, name);
    d->root = mega_arena_zeroed(&d->arena, sizeof *d->root);
    mega_status status = MEGA_OK;
    if (!d->name || !d->root || !yaml_parser_initialize(&p.yaml)) {
        mega_document_done(d);
        return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", name);
    }
    d->root->kind = MEGA_NODE_MAP;
    const char *text = bytes ? bytes : "";
    if (n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {
        text += 3;
        n -= 3;
    }
    p.text = text;
    p.size = n;
    status = check_tabs(d, text, n);
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, n);
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    if (!status) status = read_stream(&p);
    d->root->kind = MEGA_NODE_MAP;
    yaml_parser_delete(&p.yaml);
    if (status) mega_document_done(d);
    return status;
}
