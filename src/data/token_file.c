#include "data/token_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"

enum { PAIR = 16 }; /* bytes of { token, byte } */

struct footer {
    char magic[8];
    struct mega_token_key key;
    int64_t type, tokens, documents, marks, bytes, end_bytes;
    uint64_t hash;  /* of all bytes before the footer */
    uint64_t check; /* of the footer up to here */
};
static const char magic[8] = "MEGATOK1";

static uint64_t check_of(const struct footer *f)
{
    return mega_hash(f, offsetof(struct footer, check));
}

static int64_t padded(int64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

/* ---- writing ---- */

/* a file that vanishes with the process */
static FILE *open_nameless(const char *folder)
{
    struct mega_text path = { 0 };
    mega_text_add(&path, "%s/tableXXXXXX", folder);
    int fd = path.failed ? -1 : mkostemp(path.data, O_CLOEXEC);
    if (fd >= 0) unlink(path.data);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (fd >= 0 && !f) close(fd);
    mega_text_done(&path);
    return f;
}

mega_status mega_token_writer_open(struct mega_token_writer *w, const char *path,
    const char *folder, int64_t vocabulary, int64_t end_bytes)
{
    *w = (struct mega_token_writer){
        .type = vocabulary <= 65536 ? MEGA_ID_U16 : MEGA_ID_I32,
        .end_bytes = end_bytes,
    };
    MEGA_TRY(mega_writer_open(&w->file, path));
    mega_block_hash_start(&w->hash);
    w->documents = open_nameless(folder);
    w->marks = open_nameless(folder);
    if (w->documents && w->marks) return MEGA_OK;
    mega_status status = mega_fail_errno("write in", folder);
    mega_token_writer_abandon(w);
    return status;
}

static void put(struct mega_token_writer *w, const void *bytes, size_t n)
{
    mega_block_hash_add(&w->hash, bytes, n);
    mega_writer_add(&w->file, bytes, n);
}

static mega_status put_pair(struct mega_token_writer *w, FILE *table)
{
    int64_t pair[2] = { w->tokens, w->bytes };
    return fwrite(pair, sizeof pair, 1, table) == 1 ? MEGA_OK
                                                    : mega_fail_errno("write", w->file.path);
}

mega_status mega_token_writer_begin(struct mega_token_writer *w)
{
    w->document_count++;
    return put_pair(w, w->documents);
}

mega_status mega_token_writer_add(struct mega_token_writer *w, const int32_t *id, int64_t n)
{
    enum { AT_ONCE = 4096 };
    uint16_t narrow[AT_ONCE];
    w->tokens += n;
    if (w->type == MEGA_ID_I32) put(w, id, (size_t)n * sizeof *id);
    for (int64_t i = 0; w->type == MEGA_ID_U16 && i < n; i += AT_ONCE) {
        int64_t now = n - i < AT_ONCE ? n - i : AT_ONCE;
        for (int64_t k = 0; k < now; k++) narrow[k] = (uint16_t)id[i + k];
        put(w, narrow, (size_t)now * sizeof *narrow);
    }
    return w->file.status;
}

mega_status mega_token_writer_bytes(struct mega_token_writer *w, int64_t n, bool within)
{
    w->bytes += n;
    if (!within) return MEGA_OK;
    w->mark_count++;
    return put_pair(w, w->marks);
}

/* the table behind what is written so far */
static mega_status append(struct mega_token_writer *w, FILE *table)
{
    enum { PIECE = 1 << 14 };
    char piece[PIECE];
    if (fflush(table) || fseek(table, 0, SEEK_SET))
        return mega_fail_errno("write", w->file.path);
    for (size_t n; (n = fread(piece, 1, PIECE, table)) > 0;) put(w, piece, n);
    return ferror(table) ? mega_fail_errno("read a table of", w->file.path) : w->file.status;
}

mega_status mega_token_writer_commit(
    struct mega_token_writer *w, const struct mega_token_key *key)
{
    static const char zero[8];
    int64_t size = w->tokens * mega_id_size(w->type);
    put(w, zero, (size_t)(padded(size) - size));
    mega_status status = put_pair(w, w->documents);
    if (!status) status = append(w, w->documents);
    if (!status) status = append(w, w->marks);
    struct footer f = { .key = *key,
        .type = w->type,
        .tokens = w->tokens,
        .documents = w->document_count,
        .marks = w->mark_count,
        .bytes = w->bytes,
        .end_bytes = w->end_bytes,
        .hash = mega_block_hash_end(&w->hash) };
    memcpy(f.magic, magic, sizeof magic);
    f.check = check_of(&f);
    mega_writer_add(&w->file, &f, sizeof f);
    if (status) {
        mega_token_writer_abandon(w);
        return status;
    }
    fclose(w->documents);
    fclose(w->marks);
    w->documents = w->marks = NULL;
    return mega_writer_commit(&w->file);
}

void mega_token_writer_abandon(struct mega_token_writer *w)
{
    if (w->documents) fclose(w->documents);
    if (w->marks) fclose(w->marks);
    if (w->file.path) mega_writer_abandon(&w->file);
    *w = (struct mega_token_writer){ 0 };
}

/* ---- reading ---- */

static bool sizes_fit(const struct footer *f, uint64_t size)
{
    int64_t most = INT64_MAX / 64, item = mega_id_size((int)f->type);
    if (f->type != MEGA_ID_U16 && f->type != MEGA_ID_I32) return false;
    if (f->tokens < 0 || f->documents < 0 || f->marks < 0) return false;
    if (f->tokens > most || f->documents > most || f->marks > most) return false;
    return (uint64_t)padded(f->tokens * item) + (uint64_t)(f->documents + 1 + f->marks) * PAIR +
               sizeof *f ==
           size;
}

/* pages that were only hashed go back at once: a large file does not stay resident */
static uint64_t hash_of(const unsigned char *bytes, size_t n)
{
    enum { AT_ONCE = 1 << 24 };
    struct mega_block_hash h;
    mega_block_hash_start(&h);
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t now = n - i < AT_ONCE ? n - i : AT_ONCE;
        mega_block_hash_add(&h, bytes + i, now);
        madvise((void *)(uintptr_t)(bytes + i), now, MADV_DONTNEED);
    }
    return mega_block_hash_end(&h);
}

mega_status mega_token_file_open(
    struct mega_token_part *p, const char *path, const struct mega_token_key *key)
{
    *p = (struct mega_token_part){ 0 };
    MEGA_TRY(mega_map_open(&p->ids, path));
    struct footer f = { 0 };
    size_t body = p->ids.size < sizeof f ? 0 : p->ids.size - sizeof f;
    if (p->ids.size >= sizeof f) memcpy(&f, p->ids.data + body, sizeof f);
    const char *wrong = NULL;
    if (memcmp(f.magic, magic, sizeof magic) || f.check != check_of(&f))
        wrong = "is cut off or damaged";
    else if (f.key.a != key->a || f.key.b != key->b)
        wrong = "was made from something else";
    else if (!sizes_fit(&f, p->ids.size) || hash_of(p->ids.data, body) != f.hash)
        wrong = "is damaged";
    if (wrong) {
        mega_token_part_close(p);
        return mega_fail(MEGA_BAD_FILE, "%s %s", path, wrong);
    }
    const unsigned char *documents = p->ids.data + padded(f.tokens * mega_id_size((int)f.type));
    p->id = p->ids.data;
    p->type = (int)f.type;
    p->tokens = f.tokens;
    p->documents = f.documents;
    p->start = documents;
    p->bytes = documents + 8;
    p->stride = PAIR;
    p->unit = 1;
    p->marks = documents + (f.documents + 1) * PAIR;
    p->mark_count = f.marks;
    p->end_tokens = f.end_bytes >= 0;
    p->end_bytes = f.end_bytes > 0 ? f.end_bytes : 0;
    p->hash = f.hash;
    return MEGA_OK;
}
