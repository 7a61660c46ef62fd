#include "format/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/fail.h"

/* Sizes and field places of the records (PKWARE's APPNOTE, sections 4.3.7 to 4.3.16). */
enum {
    LOCAL = 30,
    CENTRAL = 46,
    END = 22,
    END64_LOCATOR = 20,
    END64 = 56,
    COMMENT_MOST = 65535
};
enum { FLAG_ENCRYPTED = 1, METHOD_STORED = 0, EXTRA_ZIP64 = 1 };
#define ARENA_RESERVE ((size_t)1 << 30)
#define IN_EXTRA32 0xFFFFFFFFu /* the value stands in the ZIP64 field */

struct reader {
    struct mega_zip *z;
    const unsigned char *data;
    uint64_t size;
};

/* where the directory lies */
struct directory {
    uint64_t at, size, entries;
};

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static mega_status damaged(const struct reader *r, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: %s: the ZIP is damaged or cut off", r->z->file, what);
}

/* ---- the end of the archive ---- */

/* The last record, before a comment; NULL: none. */
static const unsigned char *find_end(const struct reader *r)
{
    for (uint64_t comment = 0; comment <= COMMENT_MOST && END + comment <= r->size; comment++) {
        const unsigned char *p = r->data + r->size - END - comment;
        if (!memcmp(p, "PK\5\6", 4) && little(p + 20, 2) == comment) return p;
    }
    return NULL;
}

/* where a value does not fit, the ZIP64 record has all of them */
static mega_status read_end64(
    const struct reader *r, const unsigned char *end, struct directory *d)
{
    if (end - r->data < END64_LOCATOR || memcmp(end - END64_LOCATOR, "PK\6\7", 4) != 0)
        return MEGA_OK;
    uint64_t at = little(end - END64_LOCATOR + 8, 8);
    if (r->size < END64 || at > r->size - END64 || memcmp(r->data + at, "PK\6\6", 4) != 0)
        return damaged(r, "the ZIP64 end record is not where it should be");
    const unsigned char *p = r->data + at;
    if (little(p + 16, 4) || little(p + 20, 4))
        return mega_fail(MEGA_UNSUPPORTED, "%s: a ZIP in several volumes", r->z->file);
    *d = (struct directory){ little(p + 48, 8), little(p + 40, 8), little(p + 32, 8) };
    return MEGA_OK;
}

static mega_status read_end(const struct reader *r, struct directory *d)
{
    const unsigned char *p = find_end(r);
    if (!p) return damaged(r, "the end record is missing");
    *d = (struct directory){ little(p + 16, 4), little(p + 12, 4), little(p + 10, 2) };
    MEGA_TRY(read_end64(r, p, d));
    if (little(p + 4, 2) && little(p + 4, 2) != 0xFFFF)
        return mega_fail(MEGA_UNSUPPORTED, "%s: a ZIP in several volumes", r->z->file);
    if (d->at > r->size || d->size > r->size - d->at)
        return damaged(r, "the directory does not lie in the file");
    if (d->entries > d->size / CENTRAL)
        return damaged(r, "the directory is too short for its entries");
    return MEGA_OK;
}

/* ---- entries ---- */

/* one entry as the directory tells it */
struct central {
    const unsigned char *name;
    size_t name_size;
    uint64_t packed, size, local;
    uint32_t crc;
    unsigned flags, method;
};

/* takes 8 bytes of the ZIP64 field for a value that did not fit; false: they are not there */
static bool widen(uint64_t *value, const unsigned char **p, const unsigned char *end)
{
    if (*value != IN_EXTRA32) return true;
    if (end - *p < 8) return false;
    *value = little(*p, 8);
    *p += 8;
    return true;
}

static bool read_extra(struct central *c, const unsigned char *p, size_t size)
{
    const unsigned char *end = p + size;
    while (end - p >= 4) {
        size_t id = little(p, 2), length = little(p + 2, 2);
        p += 4;
        if (length > (size_t)(end - p)) return false;
        if (id == EXTRA_ZIP64) {
            const unsigned char *at = p, *stop = p + length;
            return widen(&c->size, &at, stop) && widen(&c->packed, &at, stop) &&
                   widen(&c->local, &at, stop);
        }
        p += length;
    }
    return true;
}

static mega_status refuse(const struct reader *r, const struct central *c, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: entry %.*s: %s", r->z->file,
        (int)(c->name_size < 200 ? c->name_size : 200), (const char *)c->name, what);
}

/* *at moves to the next record */
static mega_status read_central(const struct reader *r, const unsigned char **at,
    const unsigned char *end, struct central *c)
{
    const unsigned char *p = *at;
    if (end - p < CENTRAL || memcmp(p, "PK\1\2", 4) != 0)
        return damaged(r, "a record of the directory is missing");
    size_t name = little(p + 28, 2), extra = little(p + 30, 2), comment = little(p + 32, 2);
    if (name + extra + comment > (size_t)(end - p - CENTRAL))
        return damaged(r, "a record of the directory is too long");
    *c = (struct central){ .name = p + CENTRAL,
        .name_size = name,
        .packed = little(p + 20, 4),
        .size = little(p + 24, 4),
        .local = little(p + 42, 4),
        .crc = (uint32_t)little(p + 16, 4),
        .flags = (unsigned)little(p + 8, 2),
        .method = (unsigned)little(p + 10, 2) };
    if (memchr(c->name, 0, name)) return damaged(r, "the name of an entry holds a NUL");
    if (!read_extra(c, p + CENTRAL + name, extra))
        return refuse(r, c, "its extra field is too short");
    *at = p + CENTRAL + name + extra + comment;
    return MEGA_OK;
}

/* finds the data behind the local header */
static mega_status read_local(
    const struct reader *r, const struct central *c, struct mega_zip_entry *e)
{
    if (c->flags & FLAG_ENCRYPTED) return refuse(r, c, "it is encrypted");
    if (c->method != METHOD_STORED)
        return refuse(r, c, "it is compressed, expected it stored as PyTorch writes it");
    if (c->size != c->packed) return refuse(r, c, "stored, but with two sizes");
    if (c->local > r->size || r->size - c->local < LOCAL)
        return refuse(r, c, "its header does not lie in the file: is it cut off?");
    const unsigned char *p = r->data + c->local;
    uint64_t name = little(p + 26, 2), extra = little(p + 28, 2);
    uint64_t before = c->local + LOCAL + name + extra;
    if (memcmp(p, "PK\3\4", 4) != 0)
        return refuse(r, c, "its header is not where it should be");
    if (before > r->size || c->size > r->size - before)
        return refuse(r, c, "its data do not lie in the file: is it cut off?");
    if (name != c->name_size || memcmp(p + LOCAL, c->name, name) != 0)
        return refuse(r, c, "its header has another name");
    char *copy = mega_arena_get(&r->z->arena, c->name_size + 1);
    if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->z->file);
    memcpy(copy, c->name, c->name_size);
    copy[c->name_size] = 0;
    *e = (struct mega_zip_entry){ copy, r->data + before, (size_t)c->size, c->crc, false };
    return MEGA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct mega_zip_entry *)a)->name, ((const struct mega_zip_entry *)b)->name);
}

static mega_status read_entries(const struct reader *r, const struct directory *d)
{
    struct mega_zip *z = r->z;
    const unsigned char *at = r->data + d->at, *end = at + d->size;
    if (d->entries > INT32_MAX / 2) return damaged(r, "too many entries");
    z->entry = mega_arena_get(&z->arena, (size_t)(d->entries + 1) * sizeof *z->entry);
    if (!z->entry) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", z->file);
    for (; (uint64_t)z->n < d->entries; z->n++) {
        struct central c = { 0 };
        MEGA_TRY(read_central(r, &at, end, &c));
        MEGA_TRY(read_local(r, &c, &z->entry[z->n]));
    }
    if (z->n) qsort(z->entry, (size_t)z->n, sizeof *z->entry, by_name);
    for (int i = 1; i < z->n; i++)
        if (!strcmp(z->entry[i - 1].name, z->entry[i].name))
            return mega_fail(
                MEGA_BAD_FILE, "%s: entry %.200s is there twice", z->file, z->entry[i].name);
    return MEGA_OK;
}

mega_status mega_zip_parse(struct mega_zip *z, const char *file, const void *bytes, size_t n)
{
    *z = (struct mega_zip){ .file = file };
    MEGA_TRY(mega_arena_init(&z->arena, ARENA_RESERVE));
    struct reader r = { z, bytes, n };
    struct directory d = { 0 };
    mega_status status = read_end(&r, &d);
    if (!status) status = read_entries(&r, &d);
    if (status) mega_zip_done(z);
    return status;
}

void mega_zip_done(struct mega_zip *z)
{
    mega_arena_done(&z->arena);
    *z = (struct mega_zip){ 0 };
}

struct mega_zip_entry *mega_zip_find(const struct mega_zip *z, const char *name)
{
    struct mega_zip_entry key = { .name = name };
    return z->n ? bsearch(&key, z->entry, (size_t)z->n, sizeof *z->entry, by_name) : NULL;
}

mega_status mega_zip_check(const struct mega_zip *z, struct mega_zip_entry *e)
{
    if (!e->checked && (uint32_t)crc32_z(0, e->data, e->size) != e->crc)
        return mega_fail(MEGA_BAD_FILE,
            "%s: entry %.200s: its checksum is wrong: the file is damaged", z->file, e->name);
    e->checked = true;
    return MEGA_OK;
}
