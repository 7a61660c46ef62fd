/* The two containers: a ZIP, and pickles with storages in a row. */
#include "format/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t item_size(const struct mega_torch_storage *s)
{
    return *s->dtype ? mega_named_item(s->dtype) : 1;
}

static mega_status no_memory(const struct mega_torch *t)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", t->path);
}

/* the pickle at bytes[*at], whose place in messages is what t->place says */
static mega_status read_pickle(struct mega_torch *t, const unsigned char *bytes, size_t n,
    size_t *at, struct mega_value **root)
{
    struct mega_pickle_world world = mega_torch_world;
    world.self = t;
    if (t->place.failed) return no_memory(t);
    t->pickle.name = t->place.data;
    return mega_pickle_read(&t->pickle, bytes, n, at, &world, root);
}

/* ---- ZIP ---- */

/* the folder in the archive is named after the file as it was saved: any name */
static struct mega_zip_entry *find_pickle(const struct mega_torch *t, size_t *folder)
{
    static const char name[] = "data.pkl";
    for (int i = 0; i < t->zip.n; i++) {
        struct mega_zip_entry *e = &t->zip.entry[i];
        size_t n = strlen(e->name), m = sizeof name - 1;
        if (n < m || strcmp(e->name + n - m, name) != 0) continue;
        *folder = n - m;
        if (!*folder || (e->name[*folder - 1] == '/' && !memchr(e->name, '/', *folder - 1)))
            return e;
    }
    return NULL;
}

/* the entry in the archive's folder; NULL: there is none, or no memory for its name */
static struct mega_zip_entry *find_entry(
    const struct mega_torch *t, const char *pickle, size_t folder, const char *name)
{
    struct mega_text path = { 0 };
    mega_text_add(&path, "%.*s%s", (int)folder, pickle, name);
    struct mega_zip_entry *e = path.failed ? NULL : mega_zip_find(&t->zip, path.data);
    mega_text_done(&path);
    return e;
}

/* numbers must lie as this machine has them, the lowest byte first */
static mega_status check_order(const struct mega_torch *t, const char *pickle, size_t folder)
{
    struct mega_zip_entry *e = find_entry(t, pickle, folder, "byteorder");
    if (!e || (e->size == 6 && !memcmp(e->data, "little", 6))) return MEGA_OK;
    return mega_fail(MEGA_UNSUPPORTED,
        "%s: its numbers have the highest byte first; expected the lowest, as most machines "
        "save "
        "them",
        t->path);
}

static mega_status find_data(const struct mega_torch *t, const char *pickle, size_t folder)
{
    for (struct mega_torch_storage *s = t->storage; s; s = s->next) {
        struct mega_text name = { 0 };
        mega_text_add(&name, "data/%s", s->key);
        struct mega_zip_entry *e =
            name.failed ? NULL : find_entry(t, pickle, folder, name.data);
        mega_text_done(&name);
        if (!e)
            return mega_fail(
                MEGA_BAD_FILE, "%s: storage data/%.100s is missing", t->path, s->key);
        if (e->size / item_size(s) < (size_t)s->count)
            return mega_fail(MEGA_BAD_FILE,
                "%s: storage %.200s has %zu bytes, expected %lld elements of %zu", t->path,
                e->name, e->size, (long long)s->count, item_size(s));
        MEGA_TRY(mega_zip_check(&t->zip, e));
        s->data = e->data;
    }
    return MEGA_OK;
}

static mega_status read_zip(struct mega_torch *t, const unsigned char *bytes, size_t n)
{
    size_t folder = 0, at = 0;
    struct mega_value *root;
    MEGA_TRY(mega_zip_parse(&t->zip, t->path, bytes, n));
    struct mega_zip_entry *e = find_pickle(t, &folder);
    if (!e)
        return mega_fail(MEGA_BAD_FILE,
            "%s: a ZIP without data.pkl: expected what torch.save wrote", t->path);
    if (find_entry(t, e->name, folder, "constants.pkl"))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: a TorchScript archive, which is a program: save its state_dict() with "
            "torch.save",
            t->path);
    MEGA_TRY(check_order(t, e->name, folder));
    MEGA_TRY(mega_zip_check(&t->zip, e));
    mega_text_add(&t->place, "%s: %.200s", t->path, e->name);
    MEGA_TRY(read_pickle(t, e->data, e->size, &at, &root));
    t->root = root;
    return find_data(t, e->name, folder);
}

/* ---- pickles in a row ---- */

/* 0x1950a86a20f9469cfc6c, the lowest byte first */
static const unsigned char magic[] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50,
    0x19 };

static mega_status check_head(const struct mega_torch *t, const struct mega_value *number,
    const struct mega_value *protocol, const struct mega_value *machine)
{
    if (number->kind != MEGA_VALUE_LONG || number->size != sizeof magic ||
        memcmp(number->text, magic, sizeof magic) != 0)
        return mega_fail(MEGA_BAD_FILE,
            "%s: a pickle that torch.save did not write: expected its magic number first",
            t->path);
    if (protocol->kind != MEGA_VALUE_INT || protocol->integer != 1001)
        return mega_fail(
            MEGA_UNSUPPORTED, "%s: another version of PyTorch's format than 1001", t->path);
    const struct mega_value *little = mega_value_find(machine, "little_endian");
    if (little && little->kind == MEGA_VALUE_BOOL && !little->integer)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: its numbers have the highest byte first; expected the lowest", t->path);
    return MEGA_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct mega_torch_storage *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* storages of the same key lie side by side */
static mega_status sort_storages(
    struct mega_torch *t, struct mega_torch_storage ***out, size_t *n)
{
    *n = 0;
    for (struct mega_torch_storage *s = t->storage; s; s = s->next) ++*n;
    *out = mega_arena_get(&t->pickle.arena, (*n + 1) * sizeof **out);
    if (!*out) return mega_pickle_no_memory(&t->pickle);
    size_t i = 0;
    for (struct mega_torch_storage *s = t->storage; s; s = s->next) (*out)[i++] = s;
    if (*n) qsort(*out, *n, sizeof **out, by_key);
    return MEGA_OK;
}

/* gives the storages of one key the data at bytes[*at]: a count, then the elements */
static mega_status take_data(const struct mega_torch *t, struct mega_torch_storage **s,
    struct mega_torch_storage **end, const unsigned char *bytes, size_t n, size_t *at)
{
    const struct mega_torch_storage *first = *s;
    uint64_t count = 0;
    if (n - *at < sizeof count)
        return mega_fail(MEGA_BAD_FILE,
            "%s: byte %zu: storage %.100s is missing: is it cut off?", t->path, *at,
            first->key);
    memcpy(&count, bytes + *at, sizeof count);
    *at += sizeof count;
    if (count > (n - *at) / item_size(first))
        return mega_fail(MEGA_BAD_FILE,
            "%s: byte %zu: storage %.100s has %llu elements, the file ends before: is it cut "
            "off?",
            t->path, *at, first->key, (unsigned long long)count);
    for (; s < end && !strcmp((*s)->key, first->key); s++) {
        if (item_size(*s) != item_size(first) || (uint64_t)(*s)->count > count)
            return mega_fail(MEGA_BAD_FILE,
                "%s: storage %.100s has %llu elements, expected %lld of %zu bytes", t->path,
                first->key, (unsigned long long)count, (long long)(*s)->count, item_size(*s));
        (*s)->data = bytes + *at;
    }
    *at += (size_t)count * item_size(first);
    return MEGA_OK;
}

/* the list says in which order the storages follow */
static mega_status take_all_data(struct mega_torch *t, const struct mega_value *keys,
    const unsigned char *bytes, size_t n, size_t at)
{
    struct mega_torch_storage **s;
    size_t count;
    MEGA_TRY(sort_storages(t, &s, &count));
    for (size_t i = 0; i < keys->n; i++) {
        const struct mega_value *key = keys->item[i];
        struct mega_torch_storage want = { .key = key->text }, *wanted = &want, **found;
        found = key->kind == MEGA_VALUE_TEXT && count
                    ? bsearch(&wanted, s, count, sizeof *s, by_key)
                    : NULL;
        if (!found)
            return mega_fail(
                MEGA_BAD_FILE, "%s: a storage follows that no tensor has", t->path);
        while (found > s && !by_key(&found[-1], &wanted)) found--;
        MEGA_TRY(take_data(t, found, s + count, bytes, n, &at));
    }
    for (size_t i = 0; i < count; i++)
        if (!s[i]->data)
            return mega_fail(
                MEGA_BAD_FILE, "%s: storage %.100s is missing", t->path, s[i]->key);
    return MEGA_OK;
}

static mega_status read_row(struct mega_torch *t, const unsigned char *bytes, size_t n)
{
    enum { MAGIC, PROTOCOL, MACHINE, ROOT, KEYS, PICKLES };
    struct mega_value *v[PICKLES];
    size_t at = 0;
    mega_text_add(&t->place, "%s", t->path);
    for (int i = 0; i < PICKLES; i++) {
        MEGA_TRY(read_pickle(t, bytes, n, &at, &v[i]));
        if (i == MACHINE) MEGA_TRY(check_head(t, v[MAGIC], v[PROTOCOL], v[MACHINE]));
    }
    if (v[KEYS]->kind != MEGA_VALUE_LIST)
        return mega_fail(MEGA_BAD_FILE, "%s: the list of storages is missing", t->path);
    t->root = v[ROOT];
    return take_all_data(t, v[KEYS], bytes, n, at);
}

/* ---- the file ---- */

static bool is_zip(const unsigned char *p, size_t n)
{
    return n >= 4 && !memcmp(p, "PK\3\4", 4);
}

static bool is_pickle(const unsigned char *p, size_t n)
{
    return n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5;
}

bool mega_torch_begins(const unsigned char *bytes, size_t n)
{
    /* the length of a safetensors header can look like a pickle; its brace cannot */
    return is_zip(bytes, n) || (is_pickle(bytes, n) && !(n > 8 && bytes[8] == '{'));
}

static mega_status refuse_other_files(const char *path, const unsigned char *p, size_t n)
{
    static const char lfs[] = "version https://git-lfs";
    if (n >= sizeof lfs - 1 && !memcmp(p, lfs, sizeof lfs - 1))
        return mega_fail(MEGA_BAD_FILE,
            "%s is a Git LFS pointer, not the model itself: run git lfs pull where it came "
            "from",
            path);
    if (n >= 262 && !memcmp(p + 257, "ustar", 5))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s is a tar archive, as PyTorch wrote before 0.1.10: load and save it with a "
            "newer "
            "PyTorch",
            path);
    return mega_fail(
        MEGA_BAD_FILE, "%s: neither a ZIP nor a pickle: expected what torch.save wrote", path);
}

mega_status mega_torch_parse(
    struct mega_torch *t, const char *path, const void *bytes, size_t n)
{
    *t = (struct mega_torch){ .path = path };
    const unsigned char *p = bytes;
    mega_status status = mega_pickle_init(&t->pickle, path);
    if (!status)
        status = is_zip(p, n)      ? read_zip(t, p, n)
                 : is_pickle(p, n) ? read_row(t, p, n)
                                   : refuse_other_files(path, p, n);
    if (!status) status = mega_torch_name(t);
    if (status) mega_torch_close(t);
    return status;
}

mega_status mega_torch_open(struct mega_torch *t, const char *path)
{
    struct mega_map map;
    *t = (struct mega_torch){ 0 };
    MEGA_TRY(mega_map_open(&map, path));
    mega_status status = mega_torch_parse(t, path, map.data, map.size);
    if (status)
        mega_map_close(&map);
    else
        t->map = map;
    return status;
}

void mega_torch_close(struct mega_torch *t)
{
    mega_zip_done(&t->zip);
    mega_pickle_done(&t->pickle);
    mega_text_done(&t->place);
    mega_map_close(&t->map);
    *t = (struct mega_torch){ 0 };
}
