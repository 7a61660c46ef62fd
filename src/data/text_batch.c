/* One batch of a language model on the host. */
#include <stdlib.h>

#include "data/text_plan.h"

static bool grow(void *array, size_t item, int64_t room)
{
    void **at = array, *more = realloc(*at, (size_t)room * item);
    if (more) *at = more;
    return more != NULL;
}

static mega_status make_room(struct mega_text_batch *h, bool documents)
{
    int64_t places = h->B * h->T;
    bool fine = true;
    if (h->B > h->row_room) {
        fine = grow(&h->len, sizeof *h->len, h->B) &&
               grow(&h->number, sizeof *h->number, h->B) &&
               grow(&h->fresh, sizeof *h->fresh, h->B) &&
               grow(&h->place, sizeof *h->place, h->B) && grow(&h->row, sizeof *h->row, h->B);
        if (fine) h->row_room = h->B;
    }
    if (fine && places > h->room) {
        fine =
            grow(&h->id, sizeof *h->id, places) && grow(&h->target, sizeof *h->target, places);
        if (fine) h->room = places;
    }
    if (fine && documents && places > h->doc_room) {
        fine = grow(&h->doc_kept, sizeof *h->doc_kept, places);
        if (fine) h->doc_room = places;
    }
    h->doc = documents ? h->doc_kept : NULL;
    return fine ? MEGA_OK
                : mega_fail(MEGA_NO_MEMORY, "no memory for a batch of %lld rows of %lld places",
                      (long long)h->B, (long long)h->T);
}

/* the input before a row's first target */
static int32_t first_input(const struct mega_text_batches *t, int64_t from)
{
    const struct mega_slice *s = &t->rows.slice;
    int32_t id;
    bool begins = from == s->from || mega_corpus_document(s->corpus,
                                         mega_corpus_document_at(s->corpus, from)) == from;
    if (t->b.start >= 0 && begins) return t->b.start;
    mega_corpus_read(s->corpus, from - 1, 1, &id);
    return id;
}

/* a span's part into a row of the batch, from place `at` on */
static void put(const struct mega_text_batches *t, const struct mega_stretch *p, bool begins,
    int32_t *id, int32_t *target)
{
    const struct mega_corpus *c = t->rows.slice.corpus;
    mega_corpus_read(c, p->from, p->n, target);
    for (int64_t i = 1; i < p->n; i++) id[i] = target[i - 1];
    if (begins)
        *id = first_input(t, p->from);
    else
        mega_corpus_read(c, p->from - 1, 1, id);
}

/* A row that is being filled. */
struct filling {
    int32_t *id, *target, *doc; /* doc NULL: one document */
    int32_t pad;
    int64_t to, document; /* places so far; where their document began */
};

/* places without a token, as far as `end` */
static void leave(struct filling *f, int64_t end)
{
    for (; f->to < end; f->to++) {
        f->id[f->to] = f->pad;
        f->target[f->to] = -1;
        if (f->doc) f->doc[f->to] = (int32_t)f->document;
    }
}

static void fill_row(const struct mega_text_batches *t, struct mega_text_batch *h, int64_t b,
    const struct mega_text_where *w, int64_t row)
{
    struct filling f = { h->id + b * h->T, h->target + b * h->T,
        h->doc ? h->doc + b * h->T : NULL, t->b.pad, 0, 0 };
    int64_t at = 0;
    for (int64_t k = mega_text_rows_first(&t->rows, row);
         k < mega_text_rows_first(&t->rows, row + 1); k++) {
        const struct mega_stretch *s = &t->rows.span[k];
        int64_t begin = (at + t->align - 1) / t->align * t->align,
                first = begin + t->rows.before;
        struct mega_stretch p = mega_text_where_part(w, s, first);
        at = first + s->n + t->rows.after;
        if (!p.n) continue;
        /* a gap before an aligned document is the padding of the one before it */
        leave(&f, begin - w->begin);
        f.document = begin - w->begin;
        int64_t place = first + (p.from - s->from) - w->begin;
        leave(&f, place);
        put(t, &p, p.from == s->from, f.id + place, f.target + place);
        f.to = place + p.n;
        for (int64_t i = place; f.doc && i < f.to; i++) f.doc[i] = (int32_t)f.document;
        leave(&f, f.to + t->rows.after);
    }
    h->len[b] = (int32_t)f.to;
    for (int64_t i = 0; i < mega_text_rows_context(&t->rows, row) && i < f.to; i++)
        f.target[i] = -1;
    leave(&f, h->T);
}

/* rows of the update that come in earlier batches */
static int64_t rows_before(const struct mega_text_batches *t, int64_t batch)
{
    int64_t n = 0;
    for (int64_t i = batch - batch % t->b.batching.accumulate; i < batch; i++) {
        struct mega_text_where w = mega_text_where_of(t, i);
        n += w.to - w.from;
    }
    return n;
}

mega_status mega_text_batch_fill(
    struct mega_text_batch *h, const struct mega_text_batches *t, int64_t batch)
{
    struct mega_text_where w = mega_text_where_of(t, batch);
    h->B = w.to - w.from;
    h->T = mega_text_where_places(t, &w);
    MEGA_TRY(make_room(h, t->rows.first != NULL));
    int64_t number = rows_before(t, batch);
    for (int64_t b = 0; b < h->B; b++) {
        int64_t row = t->plan.order[w.from + b],
                n = t->lengths.start[row + 1] - t->lengths.start[row];
        fill_row(t, h, b, &w, row);
        h->number[b] = (int32_t)(number + b);
        h->fresh[b] = !w.begin;
        h->place[b] = (int32_t)(w.begin < n ? w.begin : n);
        h->row[b] = row;
    }
    h->begins = !w.step;
    h->ends = !t->step || batch + 1 == t->step[w.group + 1];
    h->units = (struct mega_text_units){ .last = batch + 1 == mega_text_batches_count(t) };
    mega_text_where_units(t, &w, &h->units);
    return MEGA_OK;
}

void mega_text_batch_done(struct mega_text_batch *h)
{
    free(h->id);
    free(h->target);
    free(h->len);
    free(h->number);
    free(h->fresh);
    free(h->place);
    free(h->row);
    free(h->doc_kept);
    *h = (struct mega_text_batch){ 0 };
}
