/* The formats, all numbers little-endian:
 *
 *   mmap      "MMIDIDX\0\0", u64 version 1, u8 type, u64 items, i32 sizes[items], i64 byte
 *             offsets[items]; Megatron's has u64 documents after the items, and i64
 *             documents[that] at the end (not needed here)
 *   legacy    "TNTIDX\0\0", u64 version 1, u64 type, u64 element size, u64 items, u64 dims in
 *             all, i64 dim offsets[items + 1], i64 data offsets[items + 1] (in elements), i64
 *             dims; stored ids are one more than the ids */
#include "data/indexed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

struct reader {
    struct mega_token_part *part;
    const char *name;
    const unsigned char *index;
    uint64_t size, ids_size;
};

static int64_t number_at(const unsigned char *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static int32_t size_at(const unsigned char *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static mega_status refuse_size(const struct reader *r, int64_t items, uint64_t expected)
{
    return mega_fail(MEGA_BAD_FILE,
        "%s: %llu bytes, an index of %lld items has %llu: is it cut off?", r->name,
        (unsigned long long)r->size, (long long)items, (unsigned long long)expected);
}

static mega_status take_type(struct reader *r, int64_t code, int64_t size)
{
    struct mega_token_part *p = r->part;
    p->type = code == MEGA_ID_F64 && size == 4            ? MEGA_ID_F32
              : code >= MEGA_ID_U8 && code <= MEGA_ID_U64 ? (int)code
                                                          : 0;
    if (!p->type || (size && size != mega_id_size(p->type)))
        return mega_fail(MEGA_BAD_FILE,
            "%s: elements of type %lld with %lld bytes, expected fairseq's codes 1 to 10",
            r->name, (long long)code, (long long)(size ? size : mega_id_size((int)code)));
    return MEGA_OK;
}

/* item i ends where the next one begins, the last one where the ids do */
static mega_status check_end(const struct reader *r, int64_t tokens)
{
    uint64_t item = (uint64_t)mega_id_size(r->part->type);
    if (tokens >= 0 && (uint64_t)tokens <= r->ids_size / item &&
        (uint64_t)tokens * item == r->ids_size)
        return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE,
        "%s: the index tells of %lld ids of %llu bytes, the .bin beside it has %llu bytes: is "
        "it cut off, or of another index?",
        r->name, (long long)tokens, (unsigned long long)item, (unsigned long long)r->ids_size);
}

static mega_status read_mmap(struct reader *r)
{
    enum { HEAD = 9 + 8 + 1 + 8 };
    struct mega_token_part *p = r->part;
    if (r->size < HEAD) return refuse_size(r, 0, HEAD);
    if (number_at(r->index + 9) != 1)
        return mega_fail(MEGA_BAD_FILE, "%s: version %lld, expected 1", r->name,
            (long long)number_at(r->index + 9));
    MEGA_TRY(take_type(r, r->index[17], 0));
    uint64_t items = (uint64_t)number_at(r->index + 18), expected = HEAD + items * 12;
    if (items > r->size / 12) return refuse_size(r, (int64_t)items, expected);
    const unsigned char *sizes = r->index + HEAD;
    if (r->size > expected) {
        /* Megatron's: as many numbers more as it says */
        uint64_t documents = r->size >= HEAD + 8 ? (uint64_t)number_at(r->index + HEAD) : 0;
        if (documents > r->size / 8) return refuse_size(r, (int64_t)items, expected);
        expected += 8 + documents * 8;
        sizes += 8;
    }
    if (r->size != expected) return refuse_size(r, (int64_t)items, expected);
    p->documents = (int64_t)items;
    p->start = sizes + items * 4;
    p->stride = 8;
    p->unit = mega_id_size(p->type);
    int64_t tokens = 0, most = (int64_t)(r->ids_size / (uint64_t)p->unit);
    for (int64_t i = 0; i < p->documents; i++) {
        int32_t size = size_at(sizes + i * 4);
        int64_t at = number_at(p->start + i * 8);
        if (size < 0 || at != tokens * p->unit)
            return mega_fail(MEGA_BAD_FILE,
                "%s: item %lld has size %d and byte offset %lld, expected one that begins "
                "where "
                "the item before it ends, at %lld",
                r->name, (long long)i + 1, (int)size, (long long)at,
                (long long)(tokens * p->unit));
        tokens += size;
        if (tokens > most) break;
    }
    p->tokens = tokens;
    return check_end(r, tokens);
}

static mega_status read_legacy(struct reader *r)
{
    enum { HEAD = 6 * 8 };
    struct mega_token_part *p = r->part;
    if (r->size < HEAD) return refuse_size(r, 0, HEAD);
    if (number_at(r->index + 8) != 1)
        return mega_fail(MEGA_BAD_FILE, "%s: version %lld, expected 1", r->name,
            (long long)number_at(r->index + 8));
    MEGA_TRY(take_type(r, number_at(r->index + 16), number_at(r->index + 24)));
    uint64_t items = (uint64_t)number_at(r->index + 32),
             dims = (uint64_t)number_at(r->index + 40);
    if (items > r->size / 16 || dims > r->size / 8)
        return refuse_size(r, (int64_t)items, HEAD + items * 16 + 16 + dims * 8);
    uint64_t expected = HEAD + (items + 1) * 16 + dims * 8;
    if (r->size != expected) return refuse_size(r, (int64_t)items, expected);
    p->documents = (int64_t)items;
    p->start = r->index + HEAD + (items + 1) * 8;
    p->stride = 8;
    p->unit = 1;
    p->minus = 1;
    p->tokens = number_at(p->start + items * 8);
    if (number_at(p->start) != 0)
        return mega_fail(MEGA_BAD_FILE, "%s: the first item begins at element %lld, expected 0",
            r->name, (long long)number_at(p->start));
    for (int64_t i = 0; i < p->documents; i++)
        if (number_at(p->start + i * 8) > number_at(p->start + i * 8 + 8))
            return mega_fail(MEGA_BAD_FILE,
                "%s: item %lld begins at element %lld and ends at %lld", r->name,
                (long long)i + 1, (long long)number_at(p->start + i * 8),
                (long long)number_at(p->start + i * 8 + 8));
    return check_end(r, p->tokens);
}

/* ---- ids ---- */

/* the first of n that is no id; n: all are */
#define FIRST_WRONG(name, type)                                                                \
    static int64_t first_wrong_##name(                                                         \
        const unsigned char *at, int64_t n, double minus, double vocabulary, double *found)    \
    {                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                      \
            type v;                                                                            \
            memcpy(&v, at + i * (int64_t)sizeof v, sizeof v);                                  \
            double d = (double)v - minus;                                                      \
            if (d >= 0 && d < vocabulary && d == (double)(int64_t)d) continue;                 \
            *found = d;                                                                        \
            return i;                                                                          \
        }                                                                                      \
        return n;                                                                              \
    }
FIRST_WRONG(u8, uint8_t)
FIRST_WRONG(i8, int8_t)
FIRST_WRONG(i16, int16_t)
FIRST_WRONG(i32, int32_t)
FIRST_WRONG(i64, int64_t)
FIRST_WRONG(f64, double)
FIRST_WRONG(u16, uint16_t)
FIRST_WRONG(u32, uint32_t)
FIRST_WRONG(u64, uint64_t)
FIRST_WRONG(f32, float)

static mega_status check_ids(const struct reader *r, int64_t vocabulary)
{
    static int64_t (*const first_wrong[])(const unsigned char *, int64_t, double, double,
        double *) = { [MEGA_ID_U8] = first_wrong_u8,
        [MEGA_ID_I8] = first_wrong_i8,
        [MEGA_ID_I16] = first_wrong_i16,
        [MEGA_ID_I32] = first_wrong_i32,
        [MEGA_ID_I64] = first_wrong_i64,
        [MEGA_ID_F64] = first_wrong_f64,
        [MEGA_ID_DOUBLE] = first_wrong_f64,
        [MEGA_ID_U16] = first_wrong_u16,
        [MEGA_ID_U32] = first_wrong_u32,
        [MEGA_ID_U64] = first_wrong_u64,
        [MEGA_ID_F32] = first_wrong_f32 };
    const struct mega_token_part *p = r->part;
    double found = 0;
    int64_t at =
        first_wrong[p->type](p->id, p->tokens, (double)p->minus, (double)vocabulary, &found);
    if (at == p->tokens) return MEGA_OK;
    int64_t item = mega_token_part_document_at(p, at);
    return mega_fail(MEGA_BAD_FILE,
        "%s: item %lld, place %lld: the id %.15g lies outside the vocabulary of %lld: is the "
        "tokenizer (dict.txt) the one that the file was made with?",
        r->name, (long long)item + 1, (long long)(at - mega_token_part_document(p, item)) + 1,
        found, (long long)vocabulary);
}

mega_status mega_indexed_read(struct mega_token_part *p, const char *name, const void *index,
    size_t index_size, const void *ids, size_t ids_size, int64_t vocabulary)
{
    struct reader r = {
        .part = p, .name = name, .index = index, .size = index_size, .ids_size = ids_size
    };
    p->id = ids;
    if (index_size >= 9 && !memcmp(index, "MMIDIDX\0\0", 9)) {
        MEGA_TRY(read_mmap(&r));
    } else if (index_size >= 8 && !memcmp(index, "TNTIDX\0\0", 8)) {
        MEGA_TRY(read_legacy(&r));
    } else {
        return mega_fail(MEGA_BAD_FILE,
            "%s is no index of a binary corpus: it begins neither with MMIDIDX nor with TNTIDX",
            name);
    }
    return check_ids(&r, vocabulary);
}

/* ---- files ---- */

static uint64_t hash_of(const struct mega_token_part *p)
{
    struct mega_block_hash h;
    mega_block_hash_start(&h);
    mega_block_hash_add(&h, p->index.data, p->index.size);
    mega_block_hash_add(&h, p->ids.data, p->ids.size);
    return mega_block_hash_end(&h);
}

/* unpacks into a file that vanishes when it is unmapped */
static mega_status unpack(struct mega_map *m, const char *path)
{
    enum { PIECE = 1 << 16 };
    const char *folder = getenv("TMPDIR");
    struct mega_text name = { 0 };
    char piece[PIECE];
    int error = Z_OK, n = 0;
    mega_text_add(&name, "%s/idsXXXXXX", folder && *folder ? folder : "/var/tmp");
    int fd = name.failed ? -1 : mkostemp(name.data, O_CLOEXEC);
    gzFile file = gzopen(path, "rb");
    mega_status status = fd < 0  ? mega_fail_errno("write in", folder ? folder : "/var/tmp")
                         : !file ? mega_fail_errno("open", path)
                                 : MEGA_OK;
    while (!status && (n = gzread(file, piece, PIECE)) > 0)
        if (write(fd, piece, (size_t)n) != n) status = mega_fail_errno("write", name.data);
    if (!status) gzerror(file, &error);
    if (!status && (n < 0 || error == Z_BUF_ERROR))
        status = mega_fail(MEGA_BAD_FILE, "%s: the gzip data are damaged or cut off", path);
    if (file) gzclose_r(file);
    if (fd >= 0) close(fd);
    if (!status) status = mega_map_open(m, name.data);
    if (fd >= 0) unlink(name.data);
    mega_text_done(&name);
    return status;
}

/* the .bin, or .bin.gz, beside an .idx */
static mega_status open_beside(struct mega_map *m, const char *path)
{
    struct mega_text ids = { 0 };
    mega_text_add(&ids, "%.*s.bin", (int)strlen(path) - 4, path);
    size_t plain = ids.size;
    mega_text_add(&ids, ".gz");
    if (ids.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to open %s", path);
    bool packed = mega_path_exists(ids.data);
    ids.data[plain] = 0;
    if (mega_path_exists(ids.data)) packed = false;
    if (packed) ids.data[plain] = '.';
    mega_status status = packed ? unpack(m, ids.data) : mega_map_open(m, ids.data);
    mega_text_done(&ids);
    return status;
}

mega_status mega_indexed_open(struct mega_token_part *p, const char *path, int64_t vocabulary)
{
    *p = (struct mega_token_part){ 0 };
    mega_status status = mega_map_open(&p->index, path);
    if (!status) status = open_beside(&p->ids, path);
    if (!status)
        status = mega_indexed_read(
            p, path, p->index.data, p->index.size, p->ids.data, p->ids.size, vocabulary);
    if (!status) {
        p->hash = hash_of(p);
        /* all of it was read once: pages go back */
        if (p->ids.size) madvise((void *)(uintptr_t)p->ids.data, p->ids.size, MADV_DONTNEED);
    } else {
        mega_token_part_close(p);
    }
    return status;
}
