/* The values of a pickle, and Python's own classes that make them. */
#include <string.h>

#include "base/fail.h"
#include "format/pickle.h"

#define ARENA_RESERVE ((size_t)1 << 30) /* more than any checkpoint's description needs */

mega_status mega_pickle_init(struct mega_pickle *p, const char *name)
{
    *p = (struct mega_pickle){ .name = name };
    return mega_arena_init(&p->arena, ARENA_RESERVE);
}

void mega_pickle_done(struct mega_pickle *p)
{
    mega_arena_done(&p->arena);
    *p = (struct mega_pickle){ 0 };
}

mega_status mega_pickle_no_memory(const struct mega_pickle *p)
{
    return mega_fail(MEGA_NO_MEMORY,
        "%s: the values of this pickle need more than %zu MiB, more than a checkpoint has to "
        "say "
        "about its tensors",
        p->name, p->arena.reserved >> 20);
}

struct mega_value *mega_value_new(struct mega_pickle *p, enum mega_value_kind kind)
{
    struct mega_value *v = mega_arena_zeroed(&p->arena, sizeof *v);
    if (v) v->kind = kind;
    return v;
}

struct mega_value *mega_value_text(
    struct mega_pickle *p, enum mega_value_kind kind, const void *bytes, size_t n)
{
    struct mega_value *v = mega_value_new(p, kind);
    char *copy = v ? mega_arena_get(&p->arena, n + 1) : NULL;
    if (!copy) return NULL;
    if (n) memcpy(copy, bytes, n);
    copy[n] = 0;
    v->text = copy;
    v->size = n;
    return v;
}

mega_status mega_value_add(
    struct mega_pickle *p, struct mega_value *to, struct mega_value *item)
{
    if (to->n == to->room) {
        size_t room = to->room ? 2 * to->room : 8;
        struct mega_value **more = mega_arena_get(&p->arena, room * sizeof *more);
        if (!more) return mega_pickle_no_memory(p);
        if (to->n) memcpy(more, to->item, to->n * sizeof *more);
        to->item = more;
        to->room = room;
    }
    to->item[to->n++] = item;
    return MEGA_OK;
}

const struct mega_value *mega_value_find(const struct mega_value *map, const char *key)
{
    if (!map || (map->kind != MEGA_VALUE_MAP && map->kind != MEGA_VALUE_OBJECT)) return NULL;
    for (size_t i = map->n; i >= 2; i -= 2) {
        const struct mega_value *k = map->item[i - 2];
        if (k->kind == MEGA_VALUE_TEXT && !strcmp(k->text, key)) return map->item[i - 1];
    }
    return NULL;
}

/* ---- calls ---- */

static mega_status refuse(const char *name, const char *expected)
{
    return mega_fail(
        MEGA_BAD_FILE, "%s is called with other arguments than %s", name, expected);
}

static mega_status add_all(
    struct mega_pickle *p, struct mega_value *to, const struct mega_value *from)
{
    /* `from` may be `to` itself */
    for (size_t i = 0, n = from->n; i < n; i++) MEGA_TRY(mega_value_add(p, to, from->item[i]));
    return MEGA_OK;
}

/* OrderedDict(), OrderedDict([[key, value], ...]), and the same of a map */
static mega_status call_map(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    *out = mega_value_new(p, MEGA_VALUE_MAP);
    if (!*out) return mega_pickle_no_memory(p);
    const struct mega_value *from = args->n ? args->item[0] : NULL;
    if (!from) return MEGA_OK;
    if (from->kind == MEGA_VALUE_MAP) return add_all(p, *out, from);
    if (from->kind != MEGA_VALUE_LIST && from->kind != MEGA_VALUE_TUPLE)
        return refuse(name, "a list of pairs");
    for (size_t i = 0; i < from->n; i++) {
        const struct mega_value *pair = from->item[i];
        if ((pair->kind != MEGA_VALUE_LIST && pair->kind != MEGA_VALUE_TUPLE) || pair->n != 2)
            return refuse(name, "a list of pairs");
        MEGA_TRY(add_all(p, *out, pair));
    }
    return MEGA_OK;
}

/* defaultdict(class): the class plays no part */
static mega_status call_default_map(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    (void)name, (void)args;
    *out = mega_value_new(p, MEGA_VALUE_MAP);
    return *out ? MEGA_OK : mega_pickle_no_memory(p);
}

/* set([...]) */
static mega_status call_set(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    *out = mega_value_new(p, MEGA_VALUE_SET);
    if (!*out) return mega_pickle_no_memory(p);
    if (!args->n) return MEGA_OK;
    const struct mega_value *from = args->item[0];
    if (args->n != 1 || from->kind < MEGA_VALUE_LIST || from->kind > MEGA_VALUE_SET)
        return refuse(name, "one list");
    return add_all(p, *out, from);
}

/* encode(text, "latin1"): bytes, as protocol 2 spells them */
static mega_status call_encode(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    if (args->n != 2 || args->item[0]->kind != MEGA_VALUE_TEXT ||
        args->item[1]->kind != MEGA_VALUE_TEXT || strcmp(args->item[1]->text, "latin1") != 0)
        return refuse(name, "a text and 'latin1'");
    const struct mega_value *text = args->item[0];
    *out = mega_value_text(p, MEGA_VALUE_BYTES, text->text, text->size);
    if (!*out) return mega_pickle_no_memory(p);
    unsigned char *to = (unsigned char *)(uintptr_t)(*out)->text;
    size_t n = 0;
    for (size_t i = 0; i < text->size; i++) {
        unsigned char c = to[i], next = to[i + 1]; /* a NUL ends it */
        if (c >= 0x80) {
            if ((c & 0xFC) != 0xC0 || (next & 0xC0) != 0x80)
                return refuse(name, "a text of characters below 256");
            c = (unsigned char)(c << 6 | (next & 0x3F));
            i++;
        }
        to[n++] = c;
    }
    to[n] = 0;
    (*out)->size = n;
    return MEGA_OK;
}

/* bytes(), bytearray(bytes) */
static mega_status call_bytes(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    const struct mega_value *from = args->n ? args->item[0] : NULL;
    if (args->n > 1 || (from && from->kind != MEGA_VALUE_BYTES)) return refuse(name, "bytes");
    *out = mega_value_text(p, MEGA_VALUE_BYTES, from ? from->text : "", from ? from->size : 0);
    return *out ? MEGA_OK : mega_pickle_no_memory(p);
}

static const struct {
    const char *name;
    mega_status (*call)(struct mega_pickle *p, const char *name, const struct mega_value *args,
        struct mega_value **out);
} calls[] = {
    { "collections.OrderedDict", call_map },
    { "collections.defaultdict", call_default_map },
    { "builtins.dict", call_map },
    { "__builtin__.dict", call_map },
    { "builtins.set", call_set },
    { "__builtin__.set", call_set },
    { "builtins.frozenset", call_set },
    { "__builtin__.frozenset", call_set },
    { "builtins.bytes", call_bytes },
    { "__builtin__.bytes", call_bytes },
    { "builtins.bytearray", call_bytes },
    { "__builtin__.bytearray", call_bytes },
    { "_codecs.encode", call_encode },
};

bool mega_pickle_knows_plain(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name)) return true;
    return false;
}

mega_status mega_pickle_call_plain(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name)) return calls[i].call(p, name, args, out);
    return MEGA_OK;
}
