#include "data/documents.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "format/node.h"

/* ---- what reaches the sink ---- */

static mega_status deliver(struct mega_document_reader *r, const char *bytes, size_t n)
{
    r->open = true;
    return n ? r->sink.take(r->sink.arg, bytes, n) : MEGA_OK;
}

static mega_status deliver_held(struct mega_document_reader *r)
{
    mega_status status = deliver(r, r->held.data, r->held.size);
    mega_text_clear(&r->held);
    return status;
}

static mega_status finish(struct mega_document_reader *r)
{
    r->open = false;
    return r->sink.end(r->sink.arg);
}

static mega_status hold(struct mega_document_reader *r, const char *bytes, size_t n)
{
    mega_text_add_bytes(&r->held, bytes, n);
    return r->held.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name)
                          : MEGA_OK;
}

/* ---- formats ---- */

static mega_status read_file(struct mega_document_reader *r, const char *at, size_t n)
{
    if (n) return deliver(r, at, n);
    return r->open ? finish(r) : MEGA_OK;
}

/* a carriage return waits in `held`: before a newline it belongs to the line's end */
static mega_status read_lines(struct mega_document_reader *r, const char *at, size_t n)
{
    const char *end = at + n;
    if (!n && r->held.size) MEGA_TRY(deliver_held(r));
    if (!n) return r->open ? finish(r) : MEGA_OK;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *last = stop ? stop : end;
        if (r->held.size && *at != '\n') MEGA_TRY(deliver_held(r));
        mega_text_clear(&r->held);
        bool carriage = last > at && last[-1] == '\r';
        if (carriage && !stop) MEGA_TRY(hold(r, "\r", 1));
        if (last > at) MEGA_TRY(deliver(r, at, (size_t)(last - at) - carriage));
        if (stop) MEGA_TRY(finish(r));
        at = stop ? stop + 1 : end;
    }
    return MEGA_OK;
}

/* `held` is the last newline and the blanks behind it: they belong to the document only if more
 * of it follows on that line */
static mega_status read_paragraphs(struct mega_document_reader *r, const char *at, size_t n)
{
    const char *end = at + n;
    if (!n) return r->open ? finish(r) : MEGA_OK;
    while (at < end) {
        if (*at == '\n') {
            if (r->blank) {
                mega_text_clear(&r->held);
                if (r->open) MEGA_TRY(finish(r));
            } else {
                MEGA_TRY(hold(r, "\n", 1));
            }
            r->blank = true;
            at++;
        } else if (r->blank && strchr(" \t\r", *at) && *at) {
            MEGA_TRY(hold(r, at++, 1));
        } else {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            if (!stop) stop = end;
            MEGA_TRY(deliver_held(r));
            MEGA_TRY(deliver(r, at, (size_t)(stop - at)));
            r->blank = false;
            at = stop;
        }
    }
    return MEGA_OK;
}

/* the end of the bytes waits in `held` while it may be the beginning of a separator */
static mega_status read_separated(struct mega_document_reader *r, const char *at, size_t n)
{
    const char *word = r->layout->separator;
    size_t length = strlen(word);
    if (!n) {
        if (r->held.size) MEGA_TRY(deliver_held(r));
        return r->open ? finish(r) : MEGA_OK;
    }
    MEGA_TRY(hold(r, at, n));
    const char *p = r->held.data, *end = p + r->held.size, *found;
    while ((found = memmem(p, (size_t)(end - p), word, length))) {
        MEGA_TRY(deliver(r, p, (size_t)(found - p)));
        MEGA_TRY(finish(r));
        p = found + length;
    }
    size_t rest = (size_t)(end - p), kept = rest < length - 1 ? rest : length - 1;
    if (rest > kept) MEGA_TRY(deliver(r, p, rest - kept));
    memmove(r->held.data, end - kept, kept);
    r->held.size = kept;
    return MEGA_OK;
}

static bool is_blank(const char *at, size_t n)
{
    while (n && strchr(" \t\r", *at) && *at) at++, n--;
    return !n;
}

static mega_status take_object(struct mega_document_reader *r, const struct mega_node *root)
{
    const char *field = r->layout->text_field;
    if (root->kind != MEGA_NODE_MAP)
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: expected a JSON object with the field \"%s\"",
            r->name, (long long)r->line, field);
    const struct mega_node *text = mega_node_find(root, field);
    if (!text || text->kind != MEGA_NODE_TEXT)
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: the field \"%s\" is %s (task.text_field)",
            r->name, (long long)r->line, field, text ? "no text" : "missing");
    MEGA_TRY(deliver(r, text->text, text->size));
    return finish(r);
}

static mega_status take_json_line(struct mega_document_reader *r, const char *at, size_t n)
{
    r->line++;
    if (r->line == 1 && n >= 3 && !memcmp(at, "\xEF\xBB\xBF", 3)) at += 3, n -= 3;
    if (is_blank(at, n)) return MEGA_OK;
    struct mega_document d;
    struct mega_text where = { 0 };
    mega_text_add(&where, "%s (row %lld)", r->name, (long long)r->line);
    mega_status status = where.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name)
                             : mega_json_parse(&d, where.data, at, n);
    mega_text_done(&where);
    if (status) return status;
    status = take_object(r, d.root);
    mega_document_done(&d);
    return status;
}

/* `held` is the beginning of a line that is not whole yet */
static mega_status read_json_lines(struct mega_document_reader *r, const char *at, size_t n)
{
    const char *end = at + n;
    if (!n && r->held.size) {
        mega_status status = take_json_line(r, r->held.data, r->held.size);
        mega_text_clear(&r->held);
        return status;
    }
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at)), *last = stop ? stop : end;
        if (!stop || r->held.size) MEGA_TRY(hold(r, at, (size_t)(last - at)));
        if (stop)
            MEGA_TRY(r->held.size ? take_json_line(r, r->held.data, r->held.size)
                                  : take_json_line(r, at, (size_t)(last - at)));
        if (stop) mega_text_clear(&r->held);
        at = stop ? stop + 1 : end;
    }
    return MEGA_OK;
}

mega_status mega_document_piece(struct mega_document_reader *r, const char *bytes, size_t n)
{
    if (!n) bytes = "";
    switch (r->layout->format) {
    case MEGA_CORPUS_LINES: return read_lines(r, bytes, n);
    case MEGA_CORPUS_PARAGRAPHS: return read_paragraphs(r, bytes, n);
    case MEGA_CORPUS_SEPARATOR: return read_separated(r, bytes, n);
    case MEGA_CORPUS_JSONL: return read_json_lines(r, bytes, n);
    case MEGA_CORPUS_AUTO:
    case MEGA_CORPUS_INDEXED:
    case MEGA_CORPUS_FILE: break;
    }
    return read_file(r, bytes, n);
}

void mega_document_reader_done(struct mega_document_reader *r)
{
    mega_text_done(&r->held);
}

/* ---- files ---- */

/* a named pipe, as a shell's <(...) is one, is read like a file */
static mega_status open_plain(const char *path, int *fd)
{
    struct stat s;
    *fd = !strcmp(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return mega_fail_errno("open", path);
    if (!fstat(*fd, &s) && S_ISDIR(s.st_mode)) {
        close(*fd);
        return mega_fail(MEGA_BAD_ARGUMENT, "%s is a folder, expected a file", path);
    }
    return MEGA_OK;
}

static mega_status read_pieces(gzFile file, struct mega_document_reader *r, int64_t *bytes)
{
    enum { PIECE = 1 << 18 };
    char *piece = malloc(PIECE);
    if (!piece) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name);
    mega_status status = MEGA_OK;
    while (!status) {
        int n = gzread(file, piece, PIECE), error = Z_OK;
        if (n <= 0) gzerror(file, &error);
        if (error == Z_ERRNO)
            status = mega_fail_errno("read", r->name);
        else if (n < 0 || error == Z_BUF_ERROR)
            status = mega_fail(MEGA_BAD_FILE,
                "%s: the gzip data are damaged or cut off after %lld plain bytes", r->name,
                (long long)*bytes);
        if (status) break;
        *bytes += n;
        status = mega_document_piece(r, piece, (size_t)n);
        if (!n) break;
    }
    free(piece);
    return status;
}

mega_status mega_documents_read(const char *path, const struct mega_document_layout *layout,
    const struct mega_document_sink *sink, int64_t *bytes)
{
    int fd;
    *bytes = 0;
    MEGA_TRY(open_plain(path, &fd));
    gzFile file = gzdopen(fd, "rb");
    if (!file) {
        close(fd);
        return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
    }
    gzbuffer(file, 1 << 17);
    struct mega_document_reader r = {
        .name = strcmp(path, "-") ? path : "standard input",
        .layout = layout,
        .sink = *sink,
        .blank = true,
    };
    mega_status status = read_pieces(file, &r, bytes);
    mega_document_reader_done(&r);
    gzclose_r(file);
    return status;
}
