#include "data/corpus_encode.h"

#include <string.h>

#include "data/documents.h"
#include "data/text_cut.h"

enum {
    PIECE = 1 << 16,      /* bytes that are encoded at once, if the encoder says where to cut */
    LONG_PIECE = 1 << 20, /* and where a place must be found */
    FAILURES = 2          /* after which none is looked for any more */
};

struct encoding {
    const struct mega_text_source *source;
    const char *file;
    struct mega_token_writer *writer;
    struct mega_text text; /* of the document, not yet encoded */
    struct mega_token_list ids;
    size_t wait;     /* bytes of text that are worth another try to cut */
    bool within;     /* a part of the document is encoded */
    bool begun;      /* it has tokens */
    int32_t end;     /* -1: none */
    int64_t encoded; /* bytes of the document before the waiting text */
    int failures;
};

static size_t piece_of(const struct encoding *x)
{
    return x->source->encoder->cut ? PIECE : LONG_PIECE;
}

static mega_status write_ids(struct encoding *x)
{
    if (x->ids.n && !x->begun) MEGA_TRY(mega_token_writer_begin(x->writer));
    if (x->ids.n) x->begun = true;
    for (int64_t i = 0; i < x->ids.n; i++)
        if (x->ids.id[i] < 0 || x->ids.id[i] >= x->source->encoder->vocabulary)
            return mega_fail(MEGA_INTERNAL,
                "%s: the tokenizer gave the id %d, its vocabulary is %lld", x->file,
                (int)x->ids.id[i], (long long)x->source->encoder->vocabulary);
    mega_status status = mega_token_writer_add(x->writer, x->ids.id, x->ids.n);
    x->ids.n = 0;
    return status;
}

static mega_status fail_here(const struct encoding *x, mega_status status)
{
    if (!x->encoded) return mega_fail_in(status, "%s: ", x->file);
    return mega_fail_in(status, "%s: behind the first %lld bytes of a document: ", x->file,
        (long long)x->encoded);
}

static mega_status encode(struct encoding *x, size_t n)
{
    const struct mega_text_encoder *e = x->source->encoder;
    if (n) {
        mega_status status = e->encode(e->arg, x->text.data, n, !x->within, &x->ids);
        if (status) return fail_here(x, status);
    }
    return write_ids(x);
}

/* the ids of as much of the waiting text as may be cut off; *n bytes, 0: none */
static mega_status encode_cut(struct encoding *x, size_t *n)
{
    const struct mega_text_encoder *e = x->source->encoder;
    if (e->cut) {
        *n = e->cut(e->arg, x->text.data, x->text.size);
        return *n ? encode(x, *n) : MEGA_OK;
    }
    mega_status status = mega_text_cut(e, x->text.data, x->text.size, !x->within, &x->ids, n);
    if (status) return fail_here(x, status);
    if (!*n) x->failures++;
    return write_ids(x);
}

static mega_status encode_beginning(struct encoding *x)
{
    size_t n;
    MEGA_TRY(encode_cut(x, &n));
    if (!n) {
        /* what is tried again is twice as much, so that tries stay linear */
        x->wait = 2 * x->text.size;
        return MEGA_OK;
    }
    MEGA_TRY(mega_token_writer_bytes(x->writer, (int64_t)n, x->begun));
    x->within = true;
    memmove(x->text.data, x->text.data + n, x->text.size - n);
    x->text.size -= n;
    x->encoded += (int64_t)n;
    x->wait = x->text.size + piece_of(x);
    return MEGA_OK;
}

static mega_status take(void *arg, const char *bytes, size_t n)
{
    struct encoding *x = arg;
    while (n) {
        size_t now = n < PIECE ? n : PIECE;
        mega_text_add_bytes(&x->text, bytes, now);
        if (x->text.failed)
            return mega_fail(
                MEGA_NO_MEMORY, "%s: no memory for a document of this length", x->file);
        if (x->text.size >= x->wait && x->failures < FAILURES) MEGA_TRY(encode_beginning(x));
        bytes += now;
        n -= now;
    }
    return MEGA_OK;
}

static mega_status end_document(void *arg)
{
    struct encoding *x = arg;
    int64_t n = (int64_t)x->text.size;
    MEGA_TRY(encode(x, x->text.size));
    mega_text_clear(&x->text);
    if (x->end >= 0) {
        MEGA_TRY(mega_token_list_add(&x->ids, &x->end, 1));
        MEGA_TRY(write_ids(x));
        n += x->writer->end_bytes;
    }
    MEGA_TRY(mega_token_writer_bytes(x->writer, n, false));
    x->within = x->begun = false;
    x->encoded = 0;
    x->wait = piece_of(x);
    return MEGA_OK;
}

static mega_status encode_files(struct encoding *x)
{
    const struct mega_text_source *s = x->source;
    struct mega_document_layout layout = { .format = (enum mega_corpus_format)s->format,
        .text_field = s->options->text_field,
        .separator = s->options->separator };
    struct mega_document_sink sink = { take, end_document, x };
    for (int i = 0; i < s->files->n; i++) {
        int64_t bytes;
        x->file = s->files->item[i];
        MEGA_TRY(mega_documents_read(x->file, &layout, &sink, &bytes));
        if (!bytes && s->log)
            mega_log_line(s->log, MEGA_LOG_WARN, "%s: %s is empty: skipped", s->what, x->file);
    }
    return MEGA_OK;
}

mega_status mega_corpus_encode(
    struct mega_token_writer *w, const struct mega_text_source *source, int32_t end)
{
    struct encoding x = { .source = source, .writer = w, .end = end };
    x.wait = piece_of(&x);
    mega_status status = encode_files(&x);
    mega_text_done(&x.text);
    mega_token_list_done(&x.ids);
    return status;
}
