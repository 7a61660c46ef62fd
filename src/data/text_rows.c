#include "data/text_rows.h"

#include <stdlib.h>

#include "base/rng.h"

mega_status mega_text_rows_add(struct mega_text_rows *r, int64_t from, int64_t n)
{
    if (n <= 0) return MEGA_OK;
    if (r->spans == r->room) {
        int64_t room = r->room ? r->room + r->room / 2 : 256;
        struct mega_stretch *span = realloc(r->span, (size_t)room * sizeof *span);
        if (!span) return mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows", (long long)room);
        r->span = span;
        r->room = room;
    }
    r->span[r->spans++] = (struct mega_stretch){ from, n };
    return MEGA_OK;
}

void mega_text_rows_done(struct mega_text_rows *r)
{
    free(r->span);
    free(r->first);
    free(r->number);
    free(r->context);
    *r = (struct mega_text_rows){ 0 };
}

int64_t mega_text_rows_length(const struct mega_text_rows *r, int64_t row, int64_t align)
{
    int64_t places = 0, frame = r->before + r->after;
    if (!r->first) return r->span[row].n + frame;
    for (int64_t i = r->first[row]; i < r->first[row + 1]; i++)
        places = (places + align - 1) / align * align + r->span[i].n + frame;
    return places;
}

/* ---- kinds ---- */

struct cutter {
    struct mega_text_rows *rows;
    const struct mega_text_batching *b;
    struct mega_rng rng;
    int64_t longest; /* of every row, where the text is cut into parts; 0: drawn */
};

static int64_t next_length(struct cutter *c)
{
    if (c->longest) return c->longest;
    int64_t least = c->b->least > 0 ? c->b->least : 1,
            more = c->b->most > least ? c->b->most - least : 0;
    if (more) least += mega_rng_below(&c->rng, (uint32_t)more + 1);
    return c->b->length * least;
}

/* where targets begin if a row begins at `from`, where a document (or the slice) does */
static int64_t after_start(struct cutter *c, int64_t from)
{
    if (c->b->start >= 0) return from;
    c->rows->unscored++;
    return from + 1;
}

/* a stretch of joined documents: only the first of the slice has no token before it */
static mega_status add_stretch(struct cutter *c, int64_t from, int64_t to)
{
    if (from == c->rows->slice.from) from = after_start(c, from);
    return mega_text_rows_add(c->rows, from, to - from);
}

static mega_status cut_none(struct cutter *c)
{
    const struct mega_slice *s = &c->rows->slice;
    int64_t from = after_start(c, s->from);
    int64_t n = next_length(c);
    if (c->b->shift) n = 1 + mega_rng_below(&c->rng, (uint32_t)n);
    for (; from < s->to; n = next_length(c)) {
        if (n > s->to - from) n = s->to - from;
        MEGA_TRY(mega_text_rows_add(c->rows, from, n));
        from += n;
    }
    return MEGA_OK;
}

/* document i of the corpus as far as it lies in the slice */
static struct mega_stretch document_of(const struct cutter *c, int64_t i)
{
    const struct mega_slice *s = &c->rows->slice;
    int64_t from = mega_corpus_document(s->corpus, i),
            to = mega_corpus_document(s->corpus, i + 1);
    if (from < s->from) from = s->from;
    if (to > s->to) to = s->to;
    return (struct mega_stretch){ from, to - from };
}

/* documents of their own, in pieces of at most `length`; 0: whole */
static mega_status cut_documents(struct cutter *c, int64_t length)
{
    const struct mega_slice *s = &c->rows->slice;
    for (int64_t i = mega_corpus_document_at(s->corpus, s->from);; i++) {
        struct mega_stretch d = document_of(c, i);
        if (d.from >= s->to || i >= mega_corpus_documents(s->corpus)) return MEGA_OK;
        if (d.n <= 0) continue;
        int64_t to = d.from + d.n, from = after_start(c, d.from);
        while (from < to) {
            int64_t n = length && to - from > length ? length : to - from;
            MEGA_TRY(mega_text_rows_add(c->rows, from, n));
            from += n;
        }
    }
}

/* one token that only ends a document */
static bool is_empty(const struct cutter *c, int64_t from, int64_t to)
{
    int32_t id;
    if (to - from != 1 || c->b->end < 0) return false;
    mega_corpus_read(c->rows->slice.corpus, from, 1, &id);
    return id == c->b->end;
}

/* ends the run of documents that began at `from` */
static mega_status end_run(struct cutter *c, int64_t from, int64_t to, bool documents)
{
    if (!documents || !is_empty(c, from, to)) return add_stretch(c, from, to);
    c->rows->dropped++;
    return MEGA_OK;
}

static mega_status cut_complete(struct cutter *c)
{
    const struct mega_slice *s = &c->rows->slice;
    bool documents = c->b->rows != MEGA_TEXT_COMPLETE,
         kept = c->b->rows == MEGA_TEXT_COMPLETE_DOC_WITH_BOUNDARY;
    int64_t from = s->from, at = s->from, longest = next_length(c);
    for (int64_t i = mega_corpus_document_at(s->corpus, s->from);; i++) {
        struct mega_stretch d = document_of(c, i);
        if (d.from >= s->to || i >= mega_corpus_documents(s->corpus)) break;
        bool boundary = documents && is_empty(c, d.from, d.from + d.n);
        /* an empty document ends the run before it, or at its end */
        if (at > from && (at + d.n - from > longest || (boundary && !kept))) {
            MEGA_TRY(end_run(c, from, at, documents));
            longest = next_length(c);
            from = at;
        }
        at = d.from + d.n;
        if (!boundary) continue;
        if (at - from > 1) longest = next_length(c);
        MEGA_TRY(end_run(c, from, at, documents));
        from = at;
    }
    return at > from ? end_run(c, from, at, documents) : MEGA_OK;
}

static mega_status cut(struct cutter *c, uint64_t seed)
{
    const struct mega_text_batching *b = c->b;
    switch (b->rows) {
    case MEGA_TEXT_NONE: return cut_none(c);
    case MEGA_TEXT_EOS: return cut_documents(c, 0);
    case MEGA_TEXT_DOCUMENT: return cut_documents(c, b->length);
    case MEGA_TEXT_PACKED:
        MEGA_TRY(cut_documents(c, b->length));
        return mega_text_rows_pack(c->rows, b->length, b->align > 0 ? b->align : 1,
            b->batching.shuffle, mega_hash_join(seed, mega_hash_text("documents")));
    default: return cut_complete(c);
    }
}

mega_status mega_text_rows_make(struct mega_text_rows *r, const struct mega_slice *slice,
    const struct mega_text_batching *b, uint64_t seed)
{
    *r = (struct mega_text_rows){ .slice = *slice, .before = b->before, .after = b->after };
    struct cutter c = { .rows = r, .b = b };
    int64_t tokens = slice->to - slice->from;
    if (b->parts > 0) c.longest = (tokens + b->parts - 1) / b->parts;
    mega_rng_start(&c.rng, seed, mega_hash_text("lengths"));
    mega_status status = tokens > 0 ? cut(&c, seed) : MEGA_OK;
    if (!r->first) r->rows = r->spans;
    if (!status && b->window > 0) status = mega_text_rows_window(r, b->window, b->stride);
    if (status) mega_text_rows_done(r);
    return status;
}
