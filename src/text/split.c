#include "text/split.h"

#include <stdlib.h>

#include "text/unicode.h"

/* what a run hands down from step to step */
struct run {
    const struct mega_splitter *s;
    struct mega_splitting *w;
    mega_word_fn *word;
    void *arg;
};

static mega_status run_step(
    const struct run *r, int step, const char *text, size_t n, bool first);

/* ---- what becomes of the parts that a step finds ---- */

/* A part may wait for the next one, to be one piece with it. */
struct parts {
    const struct run *r;
    int step;
    const char *start;
    bool first;
    const char *text; /* what waits: [text, end) */
    const char *end;
    bool waits, found; /* the kind of the part that came last */
};

static mega_status hand_on(struct parts *p)
{
    bool first = p->first && p->text == p->start;
    p->waits = false;
    return p->end > p->text
               ? run_step(p->r, p->step + 1, p->text, (size_t)(p->end - p->text), first)
               : MEGA_OK;
}

static mega_status add_part(struct parts *p, const char *text, const char *end, bool found)
{
    const struct mega_split_step *s = &p->r->s->step[p->step];
    found ^= s->invert;
    bool was_found = p->found, joins = false;
    p->found = found;
    switch (s->behavior) {
    case MEGA_SPLIT_REMOVED:
        if (found) return MEGA_OK;
        break;
    case MEGA_SPLIT_ISOLATED: break;
    case MEGA_SPLIT_MERGED_WITH_PREVIOUS: joins = found && !was_found; break;
    case MEGA_SPLIT_MERGED_WITH_NEXT: joins = !found && was_found; break;
    case MEGA_SPLIT_CONTIGUOUS: joins = found == was_found; break;
    }
    if (p->waits && joins) {
        p->end = end;
        return MEGA_OK;
    }
    if (p->waits) MEGA_TRY(hand_on(p));
    p->text = text;
    p->end = end;
    p->waits = true;
    return s->behavior <= MEGA_SPLIT_ISOLATED ? hand_on(p) : MEGA_OK;
}

static mega_status by_pattern(struct parts *p, const char *text, size_t n)
{
    const struct mega_split_step *s = &p->r->s->step[p->step];
    size_t at = 0, from = 0, start, stop;
    while (from <= n) {
        MEGA_TRY(mega_pattern_find(s->pattern, p->r->w->matcher, text, n, from, &start, &stop));
        if (start > n) break;
        if (start > at) MEGA_TRY(add_part(p, text + at, text + start, false));
        MEGA_TRY(add_part(p, text + start, text + stop, true));
        at = from = stop;
        if (stop > start) continue;
        /* an empty match: go on behind the next character */
        uint32_t code;
        int length = mega_char_read(text + from, text + n, &code);
        if (!length) break;
        from += (size_t)length;
    }
    if (at < n) MEGA_TRY(add_part(p, text + at, text + n, false));
    return p->waits ? hand_on(p) : MEGA_OK;
}

static mega_status by_character(struct parts *p, const char *text, size_t n)
{
    const struct mega_split_step *s = &p->r->s->step[p->step];
    const char *from = text, *end = text + n;
    uint32_t code;
    int length;
    for (const char *at = text; (length = mega_char_read(at, end, &code)); at += length) {
        if (!s->is(code)) continue;
        if (at > from) MEGA_TRY(add_part(p, from, at, false));
        MEGA_TRY(add_part(p, at, at + length, true));
        from = at + length;
    }
    if (from < end) MEGA_TRY(add_part(p, from, end, false));
    return p->waits ? hand_on(p) : MEGA_OK;
}

/* ---- steps that rewrite ---- */

static bool starts_with(const char *text, size_t n, const struct mega_span *what)
{
    return n >= what->size && !memcmp(text, what->data, what->size);
}

static mega_status metaspace(
    const struct run *r, int step, const char *text, size_t n, bool first)
{
    const struct mega_split_step *s = &r->s->step[step];
    struct mega_text *out = &r->w->text[step];
    mega_text_clear(out);
    bool marked = starts_with(text, n, &s->mark) || (n && *text == ' ');
    if (!marked && (s->prepend == MEGA_MARK_ALWAYS || (s->prepend == MEGA_MARK_FIRST && first)))
        mega_text_add_bytes(out, s->mark.data, s->mark.size);
    for (const char *p = text, *end = text + n, *blank; p < end; p = blank + (blank < end)) {
        blank = memchr(p, ' ', (size_t)(end - p));
        if (!blank) blank = end;
        mega_text_add_bytes(out, p, (size_t)(blank - p));
        if (blank < end) mega_text_add_bytes(out, s->mark.data, s->mark.size);
    }
    if (out->failed) return mega_fail(MEGA_NO_MEMORY, "no memory to cut a text into words");
    if (!s->cut) return run_step(r, step + 1, out->data, out->size, first);
    struct parts p = { .r = r, .step = step, .start = out->data, .first = first };
    return by_pattern(&p, out->data, out->size);
}

static mega_status prefix(const struct run *r, int step, const char *text, size_t n, bool first)
{
    struct mega_text *out = &r->w->text[step];
    if (n && *text == ' ') return run_step(r, step + 1, text, n, first);
    mega_text_clear(out);
    mega_text_add(out, " ");
    mega_text_add_bytes(out, text, n);
    if (out->failed) return mega_fail(MEGA_NO_MEMORY, "no memory to cut a text into words");
    return run_step(r, step + 1, out->data, out->size, first);
}

static mega_status run_step(
    const struct run *r, int step, const char *text, size_t n, bool first)
{
    if (step == r->s->n) return r->word(r->arg, text, n);
    struct parts p = { .r = r, .step = step, .start = text, .first = first };
    switch (r->s->step[step].what) {
    case MEGA_SPLIT_PATTERN: return by_pattern(&p, text, n);
    case MEGA_SPLIT_CHARACTERS: return by_character(&p, text, n);
    case MEGA_SPLIT_METASPACE: return metaspace(r, step, text, n, first);
    case MEGA_SPLIT_PREFIX: return prefix(r, step, text, n, first);
    }
    return MEGA_OK;
}

mega_status mega_splitter_run(const struct mega_splitter *s, struct mega_splitting *w,
    const char *text, size_t n, bool first, mega_word_fn *word, void *arg)
{
    if (!n) return MEGA_OK;
    if (!w->matcher) MEGA_TRY(mega_matcher_new(&w->matcher));
    return run_step(&(struct run){ s, w, word, arg }, 0, text, n, first);
}

void mega_splitting_done(struct mega_splitting *w)
{
    mega_matcher_free(w->matcher);
    for (int i = 0; i < MEGA_SPLIT_MOST; i++) mega_text_done(&w->text[i]);
    *w = (struct mega_splitting){ 0 };
}

void mega_splitter_done(struct mega_splitter *s)
{
    for (int i = 0; i < s->n; i++) mega_pattern_free(s->step[i].pattern);
    free(s->step);
    *s = (struct mega_splitter){ 0 };
}
