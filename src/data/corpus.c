#include "data/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "data/corpus_cache.h"
#include "data/file_list.h"
#include "data/indexed.h"

/* parts one after the other: one of texts, or one a pair of .idx and .bin */
struct part {
    struct mega_token_part tokens;
    int64_t token, document, byte; /* that came before it */
};

struct mega_corpus {
    struct part *part;
    int n;
    int64_t tokens, documents, bytes;
    uint64_t hash;
    bool cached;
};

void mega_corpus_close(struct mega_corpus *c)
{
    if (!c) return;
    for (int i = 0; i < c->n; i++) mega_token_part_close(&c->part[i].tokens);
    free(c->part);
    free(c);
}

/* ---- opening ---- */

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && !strcmp(path + n - k, ending);
}

static int format_of(const char *path, int asked)
{
    if (asked != MEGA_CORPUS_AUTO) return asked;
    bool packed = ends_in(path, ".bin.gz");
    if (ends_in(path, ".idx") || ends_in(path, ".bin") || packed) {
        /* a .bin without an index is a file like any other */
        char index[4096];
        snprintf(index, sizeof index, "%.*s.idx", (int)strlen(path) - (packed ? 7 : 4), path);
        return mega_path_exists(index) ? MEGA_CORPUS_INDEXED : MEGA_CORPUS_FILE;
    }
    static const char *const json[] = { ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz" };
    for (size_t i = 0; i < sizeof json / sizeof *json; i++)
        if (ends_in(path, json[i])) return MEGA_CORPUS_JSONL;
    return MEGA_CORPUS_FILE;
}

/* one format for all files: documents of a corpus are of one kind */
static mega_status choose_format(
    const char *what, const struct mega_names *files, int asked, int *format)
{
    *format = format_of(files->item[0], asked);
    for (int i = 1; i < files->n; i++)
        if (format_of(files->item[i], asked) != *format)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%s: %s and %s are of different formats by their names: say which with "
                "task.format",
                what, files->item[0], files->item[i]);
    return MEGA_OK;
}

/* takes plain files without a byte out of the list, aloud */
static void drop_empty(const char *what, struct mega_names *files, const struct mega_log *log)
{
    int kept = 0;
    for (int i = 0; i < files->n; i++) {
        struct stat s;
        bool empty = !stat(files->item[i], &s) && S_ISREG(s.st_mode) && s.st_size == 0;
        if (empty && log)
            mega_log_line(log, MEGA_LOG_WARN, "%s: %s is empty: skipped", what, files->item[i]);
        if (empty)
            free(files->item[i]);
        else
            files->item[kept++] = files->item[i];
    }
    files->n = kept;
}

/* X.bin, X.bin.gz and X.idx are one: their index, once */
static mega_status name_indexes(const char *what, struct mega_names *files)
{
    int kept = 0;
    for (int i = 0; i < files->n; i++) {
        char *path = files->item[i];
        size_t n = strlen(path);
        if (ends_in(path, ".bin.gz")) n -= 3;
        path[n] = 0;
        if (!ends_in(path, ".idx") && !ends_in(path, ".bin"))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%s: %s is neither an .idx nor a .bin, as format indexed asks", what, path);
        memcpy(path + n - 4, ".idx", 4);
        bool twice = false;
        for (int k = 0; k < kept && !twice; k++) twice = !strcmp(files->item[k], path);
        files->item[i] = NULL;
        if (twice)
            free(path);
        else
            files->item[kept++] = path;
    }
    files->n = kept;
    return MEGA_OK;
}

static void add_part(struct mega_corpus *c)
{
    struct part *p = &c->part[c->n++];
    const struct mega_token_part *t = &p->tokens;
    p->token = c->tokens;
    p->document = c->documents;
    p->byte = c->bytes;
    c->tokens += t->tokens;
    c->documents += t->documents;
    if (t->bytes)
        c->bytes += mega_token_part_bytes_before(t, t->tokens);
    else
        c->bytes = -1;
    c->hash = c->n == 1 ? t->hash : mega_hash_join(c->hash, t->hash);
}

static mega_status open_indexes(
    struct mega_corpus *c, const struct mega_text_source *s, struct mega_names *files)
{
    MEGA_TRY(name_indexes(s->what, files));
    for (int i = 0; i < files->n; i++) {
        MEGA_TRY(mega_indexed_open(&c->part[i].tokens, files->item[i], s->encoder->vocabulary));
        add_part(c);
    }
    return MEGA_OK;
}

static mega_status open_texts(struct mega_corpus *c, const struct mega_text_source *s)
{
    if (s->format == MEGA_CORPUS_SEPARATOR && !*s->options->separator)
        return mega_fail(MEGA_BAD_ARGUMENT, "task.separator is empty");
    MEGA_TRY(mega_corpus_tokens_open(&c->part[0].tokens, s, &c->cached));
    add_part(c);
    return MEGA_OK;
}

static mega_status open_files(
    struct mega_corpus *c, struct mega_text_source *s, struct mega_names *files)
{
    int named = files->n;
    if (!named) return mega_fail(MEGA_BAD_ARGUMENT, "%s: no file is given", s->what);
    drop_empty(s->what, files, s->log);
    if (files->n) MEGA_TRY(choose_format(s->what, files, s->options->format, &s->format));
    c->part = calloc((size_t)files->n + 1, sizeof *c->part);
    if (!c->part) return mega_fail(MEGA_NO_MEMORY, "no memory for %d files", files->n);
    if (files->n)
        MEGA_TRY(
            s->format == MEGA_CORPUS_INDEXED ? open_indexes(c, s, files) : open_texts(c, s));
    if (c->tokens) return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE, "%s: the corpus is empty: no token in %d file%s", s->what,
        named, named == 1 ? "" : "s");
}

mega_status mega_corpus_open(struct mega_corpus **out, const char *what,
    const struct mega_texts *files, const struct mega_corpus_options *options,
    const struct mega_text_encoder *encoder, const struct mega_log *log)
{
    *out = NULL;
    struct mega_names names;
    MEGA_TRY(mega_file_list(&names, what, files));
    struct mega_corpus *c = calloc(1, sizeof *c);
    struct mega_text_source source = {
        .what = what, .files = &names, .options = options, .encoder = encoder, .log = log
    };
    mega_status status = c ? open_files(c, &source, &names)
                           : mega_fail(MEGA_NO_MEMORY, "no memory for %s", what);
    mega_names_done(&names);
    if (status)
        mega_corpus_close(c);
    else
        *out = c;
    return status;
}

/* ---- asking ---- */

int64_t mega_corpus_tokens(const struct mega_corpus *c)
{
    return c->tokens;
}

int64_t mega_corpus_documents(const struct mega_corpus *c)
{
    return c->documents;
}

int64_t mega_corpus_bytes(const struct mega_corpus *c)
{
    return c->bytes;
}

uint64_t mega_corpus_hash(const struct mega_corpus *c)
{
    return c->hash;
}

bool mega_corpus_was_cached(const struct mega_corpus *c)
{
    return c->cached;
}

/* the last part of which `before` (a token or document) has begun */
static const struct part *part_of(const struct mega_corpus *c, int64_t place, bool document)
{
    int low = 0, high = c->n;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        int64_t begin = document ? c->part[middle].document : c->part[middle].token;
        if (begin <= place)
            low = middle;
        else
            high = middle;
    }
    return &c->part[low];
}

int64_t mega_corpus_document(const struct mega_corpus *c, int64_t i)
{
    if (i >= c->documents) return c->tokens;
    const struct part *p = part_of(c, i, true);
    return p->token + mega_token_part_document(&p->tokens, i - p->document);
}

int64_t mega_corpus_document_at(const struct mega_corpus *c, int64_t token)
{
    const struct part *p = part_of(c, token, false);
    return p->document + mega_token_part_document_at(&p->tokens, token - p->token);
}

void mega_corpus_read(const struct mega_corpus *c, int64_t from, int64_t n, int32_t *out)
{
    const struct part *p = part_of(c, from, false);
    while (n > 0) {
        int64_t at = from - p->token, left = p->tokens.tokens - at, now = n < left ? n : left;
        if (now > 0) {
            mega_token_part_read(&p->tokens, at, now, out);
            from += now;
            out += now;
            n -= now;
        }
        p++;
    }
}

int64_t mega_corpus_bytes_before(const struct mega_corpus *c, int64_t token)
{
    if (c->bytes < 0) return 0;
    if (token >= c->tokens) return c->bytes;
    const struct part *p = part_of(c, token, false);
    return p->byte + mega_token_part_bytes_before(&p->tokens, token - p->token);
}
