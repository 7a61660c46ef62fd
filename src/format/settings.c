/* Option tables meet documents: checking, filling, printing back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/option_json.h"
#include "format/scalar.h"

/* ---- defaults ---- */

static void set_text_default(const struct mega_option *o, void *field)
{
    struct mega_node n = { .text = o->fallback, .size = strlen(o->fallback) };
    mega_scalar_resolve(&n);
    switch (o->type) {
    case MEGA_OPTION_INT:
        *(int64_t *)field = n.kind == MEGA_NODE_INT ? n.integer : (int64_t)n.real;
        break;
    case MEGA_OPTION_REAL: *(double *)field = n.real; break;
    case MEGA_OPTION_BOOL: *(bool *)field = n.boolean; break;
    case MEGA_OPTION_TEXT: *(const char **)field = o->fallback; break;
    case MEGA_OPTION_CHOICE: *(int *)field = mega_choice_find(o->choices, o->fallback); break;
    case MEGA_OPTION_TEXTS: *(struct mega_texts *)field = (struct mega_texts){ 0 }; break;
    case MEGA_OPTION_INTS:
        *(struct mega_ints *)field = (struct mega_ints){ .each = n.integer };
        break;
    case MEGA_OPTION_REALS:
        *(struct mega_reals *)field = (struct mega_reals){ .each = n.real };
        break;
    case MEGA_OPTION_ALIAS: break;
    }
}

static void *field_of(const struct mega_option *o, void *out)
{
    return (char *)out + o->offset;
}

static size_t size_of(const struct mega_option *o)
{
    static const size_t sizes[] = { [MEGA_OPTION_INT] = sizeof(int64_t),
        [MEGA_OPTION_REAL] = sizeof(double),
        [MEGA_OPTION_BOOL] = sizeof(bool),
        [MEGA_OPTION_TEXT] = sizeof(char *),
        [MEGA_OPTION_CHOICE] = sizeof(int),
        [MEGA_OPTION_TEXTS] = sizeof(struct mega_texts),
        [MEGA_OPTION_INTS] = sizeof(struct mega_ints),
        [MEGA_OPTION_REALS] = sizeof(struct mega_reals),
        [MEGA_OPTION_ALIAS] = 0 };
    return sizes[o->type];
}

void mega_option_defaults(const struct mega_option *table, void *out)
{
    for (const struct mega_option *o = table; o->name; o++) {
        if (o->fallback)
            set_text_default(o, field_of(o, out));
        else
            memset(field_of(o, out), 0, size_of(o));
    }
}

/* ---- one value ---- */

/* "recipe.yaml:3:5: optim.lr is 'abc', expected ..." */
static mega_status refuse(
    const char *where, const char *key, const struct mega_node *n, const char *expected)
{
    const char *quote = n->kind == MEGA_NODE_TEXT ? "'" : "";
    const char *found = n->kind == MEGA_NODE_MAP    ? "a section"
                        : n->kind == MEGA_NODE_LIST ? "a list"
                        : n->text && *n->text       ? n->text
                                                    : "nothing";
    return mega_fail(MEGA_BAD_ARGUMENT, "%s%s is %s%.80s%s, expected %s", where, key, quote,
        found, quote, expected);
}

static mega_status read_number(const char *where, const char *key, const struct mega_option *o,
    const struct mega_node *n, double *value)
{
    bool whole = o->type == MEGA_OPTION_INT || o->type == MEGA_OPTION_INTS;
    const char *expected = whole ? "a whole number" : "a number";
    if (n->kind != MEGA_NODE_INT && n->kind != MEGA_NODE_REAL)
        return refuse(where, key, n, expected);
    if (!isfinite(n->real)) return refuse(where, key, n, "a finite number");
    if (whole && (n->real != floor(n->real) || fabs(n->real) > 9.2e18))
        return refuse(where, key, n, expected);
    bool limited = o->least != 0 || o->most != 0;
    if (limited && (n->real < o->least || n->real > o->most)) {
        char text[96], least[32], most[32];
        mega_real_print(o->least, least);
        mega_real_print(o->most, most);
        snprintf(text, sizeof text, "%s from %s to %s", expected, least, most);
        return refuse(where, key, n, text);
    }
    *value = n->real;
    return MEGA_OK;
}

static mega_status read_list(struct mega_arena *arena, const char *where, const char *key,
    const struct mega_node *n, struct mega_texts *out)
{
    if (n->kind == MEGA_NODE_NULL) return MEGA_OK;
    if (n->kind == MEGA_NODE_MAP) return refuse(where, key, n, "a list");
    int count = 0;
    const struct mega_node *first = n->kind == MEGA_NODE_LIST ? n->first : n;
    for (const struct mega_node *i = first; i; i = n->kind == MEGA_NODE_LIST ? i->next : NULL)
        count++;
    const char **item = mega_arena_zeroed(arena, ((size_t)count + 1) * sizeof *item);
    if (!item) return mega_fail(MEGA_NO_MEMORY, "no memory for the list %s", key);
    count = 0;
    for (const struct mega_node *i = first; i; i = n->kind == MEGA_NODE_LIST ? i->next : NULL) {
        if (i->kind == MEGA_NODE_MAP || i->kind == MEGA_NODE_LIST || strlen(i->text) != i->size)
            return refuse(where, key, i, "a list of texts");
        item[count++] = i->text;
    }
    *out = (struct mega_texts){ item, count };
    return MEGA_OK;
}

/* one number or a list of them, in document or text form: 8, [8, 3, 0] */
struct series {
    double each, *item;
    int n;
};

static mega_status read_series_list(struct mega_arena *arena, const char *where,
    const char *key, const struct mega_option *o, const struct mega_node *list,
    struct series *s)
{
    for (const struct mega_node *i = list->first; i; i = i->next) s->n++;
    if (!s->n) return refuse(where, key, list, "a number, or a list of at least one");
    s->item = mega_arena_zeroed(arena, (size_t)s->n * sizeof *s->item);
    if (!s->item) return mega_fail(MEGA_NO_MEMORY, "no memory for the list %s", key);
    double *to = s->item;
    for (const struct mega_node *i = list->first; i; i = i->next)
        MEGA_TRY(read_number(where, key, o, i, to++));
    return MEGA_OK;
}

/* "[8, 3, 0]" or "8, 3, 0" as a command line has it */
static mega_status read_series_text(struct mega_arena *arena, const char *where,
    const char *key, const struct mega_option *o, const struct mega_node *n, struct series *s)
{
    static const char between[] = "[], \t";
    struct mega_node list = { .kind = MEGA_NODE_LIST }, **end = &list.first;
    for (const char *at = n->text; *(at += strspn(at, between));) {
        size_t size = strcspn(at, between);
        struct mega_node *item = mega_arena_zeroed(arena, sizeof *item);
        char *text = mega_arena_zeroed(arena, size + 1);
        if (!item || !text) return mega_fail(MEGA_NO_MEMORY, "no memory for the list %s", key);
        memcpy(text, at, size);
        *item = (struct mega_node){ .text = text, .size = size };
        mega_scalar_resolve(item);
        *end = item;
        end = &item->next;
        at += size;
    }
    return read_series_list(arena, where, key, o, &list, s);
}

static mega_status read_series(struct mega_arena *arena, const char *where, const char *key,
    const struct mega_option *o, const struct mega_node *n, void *field)
{
    struct series s = { 0 };
    if (n->kind == MEGA_NODE_LIST)
        MEGA_TRY(read_series_list(arena, where, key, o, n, &s));
    else if (arena && n->kind == MEGA_NODE_TEXT && n->text && strpbrk(n->text, "[,"))
        MEGA_TRY(read_series_text(arena, where, key, o, n, &s));
    else
        MEGA_TRY(read_number(where, key, o, n, &s.each));
    if (o->type == MEGA_OPTION_REALS) {
        *(struct mega_reals *)field = (struct mega_reals){ s.each, s.item, s.n };
        return MEGA_OK;
    }
    int64_t *whole = s.n ? mega_arena_zeroed(arena, (size_t)s.n * sizeof *whole) : NULL;
    if (s.n && !whole) return mega_fail(MEGA_NO_MEMORY, "no memory for the list %s", key);
    for (int i = 0; i < s.n; i++) whole[i] = (int64_t)s.item[i];
    *(struct mega_ints *)field = (struct mega_ints){ (int64_t)s.each, whole, s.n };
    return MEGA_OK;
}

static mega_status read_value(struct mega_arena *arena, const char *where, const char *key,
    const struct mega_option *o, const struct mega_node *n, void *out)
{
    void *field = field_of(o, out);
    double number;
    switch (o->type) {
    case MEGA_OPTION_INT:
        MEGA_TRY(read_number(where, key, o, n, &number));
        *(int64_t *)field = n->kind == MEGA_NODE_INT ? n->integer : (int64_t)number;
        return MEGA_OK;
    case MEGA_OPTION_REAL: return read_number(where, key, o, n, field);
    case MEGA_OPTION_BOOL:
        if (n->kind != MEGA_NODE_BOOL) return refuse(where, key, n, "true or false");
        *(bool *)field = n->boolean;
        return MEGA_OK;
    case MEGA_OPTION_TEXT:
        if (n->kind == MEGA_NODE_LIST || n->kind == MEGA_NODE_MAP)
            return refuse(where, key, n, "a text");
        if (n->text && strlen(n->text) != n->size)
            return refuse(where, key, n, "a text without NUL");
        *(const char **)field = n->kind == MEGA_NODE_NULL || !n->text ? "" : n->text;
        return MEGA_OK;
    case MEGA_OPTION_CHOICE: {
        char expected[400];
        int choice =
            n->text && n->kind != MEGA_NODE_MAP ? mega_choice_find(o->choices, n->text) : -1;
        snprintf(expected, sizeof expected, "one of %s", o->choices);
        if (choice < 0) return refuse(where, key, n, expected);
        *(int *)field = choice;
        return MEGA_OK;
    }
    case MEGA_OPTION_TEXTS: return read_list(arena, where, key, n, field);
    case MEGA_OPTION_INTS:
    case MEGA_OPTION_REALS: return read_series(arena, where, key, o, n, field);
    case MEGA_OPTION_ALIAS:
        return mega_fail(MEGA_INTERNAL, "%s is another word for %s", key, o->choices);
    }
    return MEGA_OK;
}

/* ---- other words ---- */

/* The settings that `alias` means where its value is n; "": none. NULL: n is not what it takes.
 */
static const char *meaning(const struct mega_option *alias, const struct mega_node *n)
{
    if (strchr(alias->choices, '*')) return alias->choices;
    if (n->kind != MEGA_NODE_BOOL) return NULL;
    const char *settings = n->boolean ? alias->choices : alias->unit;
    return settings ? settings : "";
}

bool mega_setting_next(const char **settings, char name[64], char value[64])
{
    *settings += strspn(*settings, " ");
    size_t all = strcspn(*settings, " "), n = strcspn(*settings, "=");
    if (!n || n >= all || n > 63 || all - n > 63) return false;
    snprintf(name, 64, "%.*s", (int)n, *settings);
    snprintf(value, 64, "%.*s", (int)(all - n - 1), *settings + n + 1);
    *settings += all;
    return true;
}

static mega_status apply_alias(struct mega_arena *arena, const char *where, const char *key,
    const struct mega_option *table, const struct mega_option *alias, const struct mega_node *n,
    const struct mega_node *map, void *out)
{
    const char *settings = meaning(alias, n);
    char name[64], value[64];
    if (!settings) return refuse(where, key, n, "true or false");
    while (mega_setting_next(&settings, name, value)) {
        size_t last = strlen(name) - 1;
        bool bits = name[last] == '+';
        if (bits) name[last] = 0;
        const struct mega_option *o = mega_option_find(table, name);
        if (!o) return mega_fail(MEGA_INTERNAL, "%s: no option %s for that", alias->name, name);
        if (map && mega_node_find(map, name))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%s%s means %s: %s, but %s is given too: expected one of the two", where, key,
                name, *value == '*' ? n->text : value, name);
        struct mega_node fixed = { .text = value, .size = strlen(value) };
        mega_scalar_resolve(&fixed);
        int before = bits ? *(int *)field_of(o, out) : 0;
        MEGA_TRY(read_value(arena, where, key, o, *value == '*' ? n : &fixed, out));
        if (bits) *(int *)field_of(o, out) |= before;
    }
    return MEGA_OK;
}

mega_status mega_option_assign(struct mega_arena *arena, const struct mega_option *table,
    const char *name, const char *text, void *out)
{
    const struct mega_option *o = mega_option_find(table, name);
    struct mega_node n = { .text = text, .size = strlen(text) };
    if (!o) {
        const char *near = mega_option_nearest(table, name);
        return mega_fail(MEGA_BAD_ARGUMENT, "unknown option %s%s%s", name,
            near ? ", the nearest is " : "", near ? near : "");
    }
    /* texts are borrowed: from the arena here */
    char *copy = mega_arena_zeroed(arena, n.size + 1);
    if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory for the option %s", name);
    n.text = memcpy(copy, text, n.size);
    mega_scalar_resolve(&n);
    if (o->type == MEGA_OPTION_ALIAS)
        return apply_alias(arena, "", name, table, o, &n, NULL, out);
    if (o->type == MEGA_OPTION_TEXT) n.kind = MEGA_NODE_TEXT;
    return read_value(arena, "", name, o, &n, out);
}

mega_status mega_option_parse(
    const struct mega_option *o, const char *where, const char *text, void *out)
{
    if (o->type == MEGA_OPTION_TEXTS)
        return mega_fail(MEGA_INTERNAL, "%s is a list: it cannot be set from one text", where);
    struct mega_node n = { .text = text, .size = strlen(text) };
    mega_scalar_resolve(&n);
    /* on a command line nothing is quoted: what a text option gets is text */
    if (o->type == MEGA_OPTION_TEXT) n.kind = MEGA_NODE_TEXT;
    return read_value(NULL, "", where, o, &n, out);
}

/* ---- whole sections ---- */

enum { PLACE = 512 };

/* "recipe.yaml:3:5: ", or "" for what a program set */
static const char *place_of(const struct mega_document *d, const struct mega_node *n, char *out)
{
    *out = 0;
    if (n->line) snprintf(out, PLACE, "%.400s:%d:%d: ", d->name, n->line, n->column);
    return out;
}

static mega_status refuse_unknown(const struct mega_document *d, const char *section,
    const struct mega_option *table, const char *except, const struct mega_node *n)
{
    const char *near = mega_option_nearest(table, n->key);
    char best[64] = "", other[64];
    /* the nearest may stand in the sister table */
    for (int i = 0; except && mega_choice_name(except, i, other, sizeof other) >= 0; i++) {
        mega_text_nearer(&near, other, n->key);
        if (near == other) near = memcpy(best, other, sizeof best);
    }
    char where[PLACE];
    return mega_fail(MEGA_BAD_ARGUMENT, "%sunknown key %s%s%.200s%s%s", place_of(d, n, where),
        section, *section ? "." : "", n->key,
        near ? ", the nearest is " : ": mega help recipe lists them all", near ? near : "");
}

/* a document's arena only grows: what was handed out stays */
static struct mega_arena *arena_of(const struct mega_document *d)
{
    return (struct mega_arena *)(uintptr_t)&d->arena;
}

/* ---- layer by layer ---- */

static const struct mega_option *row_of_layers(const struct mega_option *table)
{
    return mega_option_find(table, "by_layer");
}

/* is it a list where there is one value, of a table that has values layer by layer? */
static bool is_layered(
    const struct mega_option *table, const struct mega_option *o, const struct mega_node *n)
{
    bool one = o->type == MEGA_OPTION_INT || o->type == MEGA_OPTION_REAL ||
               o->type == MEGA_OPTION_BOOL || o->type == MEGA_OPTION_CHOICE;
    return one && n->kind == MEGA_NODE_LIST && row_of_layers(table);
}

/* The first of a list is the value of all; the others become settings of single layers, the
 * last of all that follow: "1: gated=true; 2-: gated=false". */
static mega_status read_layered(struct mega_arena *arena, const char *where, const char *key,
    const struct mega_option *o, const struct mega_node *list, void *out,
    struct mega_text *layers)
{
    int64_t i = 0;
    if (!list->first) return refuse(where, key, list, "a value, or a list of at least one");
    for (const struct mega_node *n = list->first; n; n = n->next, i++) {
        MEGA_TRY(read_value(arena, where, key, o, n, out));
        if (i)
            mega_text_add(layers, "%s%lld%s: %s=%s", layers->size ? "; " : "", (long long)i,
                n->next ? "" : "-", o->name, n->text);
    }
    return read_value(arena, where, key, o, list->first, out);
}

/* what lists said, before what the row itself says */
static mega_status join_layers(struct mega_arena *arena, const struct mega_option *table,
    struct mega_text *layers, void *out)
{
    if (!layers->size) return MEGA_OK;
    const char **text = field_of(row_of_layers(table), out);
    if (*text && **text) mega_text_add(layers, "; %s", *text);
    char *joined = layers->failed ? NULL : mega_arena_zeroed(arena, layers->size + 1);
    if (!joined) return mega_fail(MEGA_NO_MEMORY, "no memory for options of layers");
    *text = memcpy(joined, layers->data, layers->size);
    return MEGA_OK;
}

/* ---- sections ---- */

/* other defaults, where the table has such an option */
static mega_status fill(const struct mega_document *d, const struct mega_option *table,
    const char *const filled[], void *out)
{
    struct mega_arena *arena = arena_of(d);
    char name[64], value[64];
    for (; filled && *filled; filled++)
        for (const char *at = *filled; mega_setting_next(&at, name, value);)
            if (mega_option_find(table, name))
                MEGA_TRY(mega_option_assign(arena, table, name, value, out));
    return MEGA_OK;
}

/* all keys but other words, which come after them in the order of the table */
static mega_status read_keys(const struct mega_document *d, const struct mega_node *map,
    const char *section, const struct mega_option *table, const char *except, void *out,
    struct mega_text *layers)
{
    char where[PLACE];
    for (const struct mega_node *n = map ? map->first : NULL; n; n = n->next) {
        const struct mega_option *o = mega_option_find(table, n->key);
        if (!o && except && mega_choice_find(except, n->key) >= 0) continue;
        if (!o) return refuse_unknown(d, section, table, except, n);
        if (o->type == MEGA_OPTION_ALIAS) continue;
        char key[160];
        snprintf(key, sizeof key, "%s%s%s", section, *section ? "." : "", n->key);
        place_of(d, n, where);
        if (is_layered(table, o, n))
            MEGA_TRY(read_layered(arena_of(d), where, key, o, n, out, layers));
        else
            MEGA_TRY(read_value(arena_of(d), where, key, o, n, out));
    }
    return MEGA_OK;
}

static mega_status read_map(const struct mega_document *d, const struct mega_node *map,
    const char *section, const struct mega_option *table, const char *except,
    const char *const filled[], void *out)
{
    char where[PLACE];
    mega_option_defaults(table, out);
    MEGA_TRY(fill(d, table, filled, out));
    if (map && map->kind != MEGA_NODE_MAP && map->kind != MEGA_NODE_NULL)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s%s is a single value, expected a section of keys", place_of(d, map, where),
            section);
    struct mega_text layers = { 0 };
    mega_status status = read_keys(d, map, section, table, except, out, &layers);
    if (!status) status = join_layers(arena_of(d), table, &layers, out);
    mega_text_done(&layers);
    if (status) return status;
    for (const struct mega_option *o = table; o->name; o++) {
        const struct mega_node *n =
            map && o->type == MEGA_OPTION_ALIAS ? mega_node_find(map, o->name) : NULL;
        char key[160];
        if (!n) continue;
        snprintf(key, sizeof key, "%s%s%s", section, *section ? "." : "", n->key);
        MEGA_TRY(apply_alias(arena_of(d), place_of(d, n, where), key, table, o, n, map, out));
    }
    for (const struct mega_option *o = table; o->name; o++)
        if (!o->fallback && !(map && mega_node_find(map, o->name)))
            return mega_fail(MEGA_BAD_ARGUMENT, "%s: the key %s%s%s is missing: %s", d->name,
                section, *section ? "." : "", o->name, o->help);
    return MEGA_OK;
}

mega_status mega_node_read(const struct mega_document *d, const struct mega_node *map,
    const char *section, const struct mega_option *table, const char *except, void *out)
{
    return read_map(d, map, section, table, except, NULL, out);
}

/* ---- printing ---- */

/* a text as YAML: quoted whenever it could be read as something else */
static void add_yaml_text(struct mega_text *to, const char *text)
{
    mega_json_add_text(to, text, strlen(text));
}

void mega_option_print(
    const struct mega_option *table, const void *values, int indent, struct mega_text *to)
{
    for (const struct mega_option *o = table; o->name; o++) {
        const char *field = (const char *)values + o->offset;
        char text[64];
        if (o->type == MEGA_OPTION_ALIAS) continue;
        mega_text_add(to, "%*s%s: ", indent, "", o->name);
        switch (o->type) {
        case MEGA_OPTION_INT:
            mega_text_add(to, "%lld", (long long)*(const int64_t *)(const void *)field);
            break;
        case MEGA_OPTION_REAL:
            mega_real_print(*(const double *)(const void *)field, text);
            mega_text_add(to, "%s", text);
            break;
        case MEGA_OPTION_BOOL:
            mega_text_add(to, *(const bool *)(const void *)field ? "true" : "false");
            break;
        case MEGA_OPTION_TEXT:
            add_yaml_text(to, *(const char *const *)(const void *)field
                                  ? *(const char *const *)(const void *)field
                                  : "");
            break;
        case MEGA_OPTION_CHOICE:
            mega_choice_name(o->choices, *(const int *)(const void *)field, text, sizeof text);
            mega_text_add(to, "%s", text);
            break;
        case MEGA_OPTION_INTS:
        case MEGA_OPTION_REALS: mega_option_add_series(to, o, values); break;
        case MEGA_OPTION_ALIAS: break;
        case MEGA_OPTION_TEXTS: {
            const struct mega_texts *list = (const void *)field;
            mega_text_add(to, "[");
            for (int i = 0; i < list->n; i++) {
                if (i) mega_text_add(to, ", ");
                add_yaml_text(to, list->item[i]);
            }
            mega_text_add(to, "]");
            break;
        }
        }
        mega_text_add(to, "\n");
    }
}

mega_status mega_node_read_tables(const struct mega_document *d, const struct mega_node *map,
    const char *where, const struct mega_option *const table[], void *const out[], int n)
{
    return mega_node_read_filled(d, map, where, table, out, n, NULL);
}

mega_status mega_node_read_filled(const struct mega_document *d, const struct mega_node *map,
    const char *where, const struct mega_option *const table[], void *const out[], int n,
    const char *const filled[])
{
    /* each is told the others' names */
    mega_status status = MEGA_OK;
    for (int i = 0; i < n && !status; i++) {
        struct mega_text others = { 0 };
        for (int k = 0; k < n; k++)
            if (k != i) mega_option_add_names(&others, table[k]);
        status = others.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to read %s", d->name)
                               : read_map(d, map, where, table[i], others.data, filled, out[i]);
        mega_text_done(&others);
    }
    return status;
}
