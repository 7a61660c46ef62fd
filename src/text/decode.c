/* Decoding: surfaces in a row, with blanks between words where a kind has words. */
#include <stdlib.h>

#include "text/tokenizer.h"
#include "text/unicode.h"

/* where a decoding stands */
struct state {
    bool specials;
    bool begun; /* something was written */
    bool word;  /* a word ended: a blank comes before the next */
    bool any;   /* a piece came, whatever it wrote */
    int strip;  /* blanks still to be taken off the start */
};

static struct state start(const mega_tokenizer *t, const struct mega_decode_options *o)
{
    bool inside = o && o->inside;
    return (struct state){ .specials = o && o->specials,
        .begun = inside,
        .any = inside,
        .strip = inside ? 0 : t->joining.strip };
}

static mega_status add(
    const mega_tokenizer *t, struct state *s, int32_t id, struct mega_text *out)
{
    if (!mega_vocab_has(&t->vocab, id))
        return mega_fail(MEGA_BAD_ARGUMENT, "the id %lld is not in the vocabulary of %lld",
            (long long)id, (long long)t->vocab.n);
    const struct mega_piece *p = &t->vocab.piece[id];
    if (p->flags & MEGA_PIECE_SPECIAL && !s->specials) return MEGA_OK;
    const struct mega_joining *j = &t->joining;
    bool joins = p->flags & MEGA_PIECE_JOINS;
    const struct mega_span *written = joins && !s->any ? &p->text : &p->surface;
    const char *from = written->data, *end = from + written->size;
    if (s->word && j->blank && !joins) mega_text_add(out, "%s", j->blank);
    s->any = true;
    s->word = !(p->flags & MEGA_PIECE_OPEN);
    if (p->flags & MEGA_PIECE_WHOLE)
        s->strip = 0;
    else if (j->of == MEGA_STRIP_EACH && !s->begun)
        s->strip = j->strip;
    for (; s->strip && from < end && *from == ' '; from++) s->strip--;
    if (s->strip && j->of == MEGA_STRIP_FIRST) {
        /* those inside go, too: the original takes every blank out of its first piece */
        for (const char *c = from; c < end; c++)
            if (*c != ' ') mega_text_add_bytes(out, c, 1);
        s->begun |= from < end;
        from = end;
        s->strip = 0;
    }
    if (from < end) s->strip = 0;
    s->begun |= from < end;
    mega_text_add_bytes(out, from, (size_t)(end - from));
    return MEGA_OK;
}

mega_status mega_tokenizer_decode(const mega_tokenizer *t, const int32_t *id, size_t n,
    const struct mega_decode_options *options, char **out, size_t *size)
{
    struct mega_text text = { 0 };
    struct state s = start(t, options);
    mega_status status = MEGA_OK;
    mega_text_add(&text, "%s", "");
    for (size_t i = 0; i < n && !status; i++) status = add(t, &s, id[i], &text);
    if (!status && text.failed) status = mega_fail(MEGA_NO_MEMORY, "no memory to decode");
    if (status) {
        mega_text_done(&text);
        return status;
    }
    *out = text.data;
    *size = text.size;
    return MEGA_OK;
}

/* ---- as ids arrive ---- */

struct mega_decoder {
    const mega_tokenizer *t;
    struct mega_decode_options options;
    struct state state;
    struct mega_text text; /* what was given out, then what waits */
    size_t given;
};

mega_status mega_decoder_open(
    mega_decoder **out, const mega_tokenizer *t, const struct mega_decode_options *options)
{
    mega_decoder *d = calloc(1, sizeof *d);
    if (!d) return mega_fail(MEGA_NO_MEMORY, "no memory for a decoder");
    d->t = t;
    if (options) d->options = *options;
    d->state = start(t, options);
    *out = d;
    return MEGA_OK;
}

void mega_decoder_close(mega_decoder *d)
{
    if (!d) return;
    mega_text_done(&d->text);
    free(d);
}

/* moves what waits to the start */
static void drop_given(mega_decoder *d)
{
    struct mega_text *t = &d->text;
    if (!d->given) return;
    memmove(t->data, t->data + d->given, t->size - d->given);
    t->size -= d->given;
    d->given = 0;
}

static mega_status give(mega_decoder *d, size_t n, const char **bytes, size_t *size)
{
    if (d->text.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to decode");
    *bytes = d->text.data ? d->text.data : "";
    *size = d->given = n;
    return MEGA_OK;
}

mega_status mega_decoder_add(mega_decoder *d, int32_t id, const char **bytes, size_t *size)
{
    drop_given(d);
    MEGA_TRY(add(d->t, &d->state, id, &d->text));
    const char *end = d->text.data ? d->text.data + d->text.size : NULL;
    size_t waits = end ? mega_char_pending(d->text.data, end) : 0;
    return give(d, d->text.size - waits, bytes, size);
}

mega_status mega_decoder_flush(mega_decoder *d, const char **bytes, size_t *size)
{
    drop_given(d);
    d->state = start(d->t, &d->options);
    return give(d, d->text.size, bytes, size);
}
