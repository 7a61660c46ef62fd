#include "text/bpe_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "text/bpe_long.h"
#include "text/byte_chars.h"
#include "text/unicode.h"
#include "text/wordpiece.h"

/* ---- making ---- */

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
}

mega_status mega_bpe_model_merge(mega_tokenizer *t, struct mega_bpe_model *m, int32_t rank,
    struct mega_span left, struct mega_span right, const char *where, int line)
{
    int32_t a = mega_vocab_find(&t->vocab, left.data, left.size);
    int32_t b = mega_vocab_find(&t->vocab, right.data, right.size);
    struct mega_text both = { 0 };
    size_t skip = m->prefix.size;
    if (skip && (right.size < skip || memcmp(right.data, m->prefix.data, skip) != 0)) skip = 0;
    mega_text_add_bytes(&both, left.data, left.size);
    mega_text_add_bytes(&both, right.data + skip, right.size - skip);
    int32_t joined = both.data ? mega_vocab_find(&t->vocab, both.data, both.size) : -1;
    mega_status status = both.failed ? no_memory() : MEGA_OK;
    if (!status && (a < 0 || b < 0 || joined < 0))
        status = mega_fail(MEGA_BAD_FILE,
            "%s:%d: the merge of '%.100s' and '%.100s' %s '%.200s', which is not in the "
            "vocabulary",
            where, line, left.data, right.data, a < 0 || b < 0 ? "needs" : "gives",
            a < 0   ? left.data
            : b < 0 ? right.data
                    : both.data);
    mega_text_done(&both);
    if (status) return status;
    return mega_merges_add(&m->merges, (struct mega_merge){ a, b, rank, joined }, true);
}

static void find_bytes(const mega_tokenizer *t, struct mega_bpe_model *m)
{
    for (int i = 0; i < 256; i++) {
        char piece[8];
        size_t size = m->splitter.byte_level
                          ? (size_t)mega_char_write(mega_byte_char((unsigned char)i), piece)
                          : (size_t)snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)i);
        m->byte[i] = mega_vocab_find(&t->vocab, piece, size);
    }
}

/* does a merge take the piece as a part? */
static bool merges_use(const struct mega_bpe_model *m, int32_t id)
{
    for (uint32_t i = 0; m->merges.slot && i <= m->merges.mask; i++) {
        const struct mega_merge *s = &m->merges.slot[i];
        if (s->left >= 0 && (s->left == id || s->right == id)) return true;
    }
    return false;
}

/* seams are of use where words are characters and no rule looks at a whole word */
static bool may_cut(const struct mega_bpe_model *m)
{
    if (m->longest_word || m->splitter.byte_level || m->whole_first || m->prefix.size ||
        m->suffix.size)
        return false;
    if (m->unk >= 0 && merges_use(m, m->unk)) return false;
    for (int i = 0; m->byte_fallback && i < 256; i++)
        if (m->byte[i] >= 0 && merges_use(m, m->byte[i])) return false;
    return true;
}

mega_status mega_bpe_model_finish(mega_tokenizer *t, struct mega_bpe_model *m)
{
    find_bytes(t, m);
    m->cuts = may_cut(m);
    for (int32_t i = 0; m->cuts && i < t->vocab.n; i++) {
        const struct mega_piece *p = &t->vocab.piece[i];
        if (p->flags & MEGA_PIECE_USED && !(p->flags & MEGA_PIECE_SPECIAL) &&
            !mega_seams_learn(&m->seams, p->text.data, p->text.size))
            return no_memory();
    }
    return MEGA_OK;
}

void mega_bpe_model_free(void *model)
{
    struct mega_bpe_model *m = model;
    mega_normalizer_done(&m->normalizer);
    mega_splitter_done(&m->splitter);
    mega_merges_done(&m->merges);
    mega_seams_done(&m->seams);
    mega_document_done(&m->document);
    free(m);
}

/* ---- encoding ---- */

struct own {
    struct mega_merging merging;
    struct mega_splitting splitting;
    struct mega_word_cache cache;
    struct mega_text normal, spare, piece;
};

void mega_bpe_model_forget(void *own)
{
    struct own *o = own;
    mega_merging_done(&o->merging);
    mega_splitting_done(&o->splitting);
    mega_word_cache_done(&o->cache);
    mega_text_done(&o->normal);
    mega_text_done(&o->spare);
    mega_text_done(&o->piece);
    free(o);
}

/* one encoding */
struct job {
    const mega_tokenizer *t;
    const struct mega_bpe_model *m;
    struct mega_workspace *w;
    struct own *own;
};

static bool bytes_known(const struct mega_bpe_model *m, const char *p, int length)
{
    for (int i = 0; i < length; i++)
        if (m->byte[(unsigned char)p[i]] < 0) return false;
    return true;
}

/* the piece of a character, with what the model puts around it inside and at the end of words
 */
static int32_t find_character(
    const struct job *j, const char *p, int length, bool first, bool last)
{
    const struct mega_bpe_model *m = j->m;
    if ((first || !m->prefix.size) && (!last || !m->suffix.size))
        return mega_vocab_find(&j->t->vocab, p, (size_t)length);
    struct mega_text *piece = &j->own->piece;
    mega_text_clear(piece);
    if (!first) mega_text_add_bytes(piece, m->prefix.data, m->prefix.size);
    mega_text_add_bytes(piece, p, (size_t)length);
    if (last) mega_text_add_bytes(piece, m->suffix.data, m->suffix.size);
    return piece->failed ? -1 : mega_vocab_find(&j->t->vocab, piece->data, piece->size);
}

/* the symbols that a word of characters starts from; an unknown one waits, so that its
 * neighbours may be fused with it */
static size_t symbols_of_characters(
    const struct job *j, const char *text, size_t n, int32_t *symbol, uint32_t *offset)
{
    const struct mega_bpe_model *m = j->m;
    const char *end = text + n;
    size_t count = 0;
    bool unknown = false;
    uint32_t code;
    int length;
    for (const char *p = text; (length = mega_char_read(p, end, &code)); p += length) {
        int32_t id = find_character(j, p, length, p == text, p + length == end);
        size_t was = count;
        if (id < 0 && m->byte_fallback && bytes_known(m, p, length)) {
            for (int i = 0; i < length; i++) symbol[count++] = m->byte[(unsigned char)p[i]];
        } else {
            if (unknown && (id >= 0 || !m->fuse_unk)) symbol[count++] = m->unk;
            unknown = id < 0 && m->unk >= 0;
            if (id >= 0) symbol[count++] = id;
        }
        for (size_t i = was; offset && i < count; i++)
            offset[i] = id >= 0 && i + 1 == count ? (uint32_t)(p - text) : UINT32_MAX;
    }
    if (unknown && offset) offset[count] = UINT32_MAX;
    if (unknown) symbol[count++] = m->unk;
    return count;
}

static size_t symbols_of_bytes(
    const struct job *j, const char *text, size_t n, int32_t *symbol, uint32_t *offset)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id = j->m->byte[(unsigned char)text[i]];
        if (id < 0) id = j->m->unk;
        if (id < 0) continue;
        if (offset) offset[count] = (uint32_t)i;
        symbol[count++] = id;
    }
    return count;
}

static size_t symbols_of(
    void *arg, const char *text, size_t n, int32_t *symbol, uint32_t *offset)
{
    const struct job *j = arg;
    return j->m->splitter.byte_level ? symbols_of_bytes(j, text, n, symbol, offset)
                                     : symbols_of_characters(j, text, n, symbol, offset);
}

static void emit_ids(void *arg, const int32_t *id, size_t n)
{
    const struct job *j = arg;
    for (size_t i = 0; i < n; i++) mega_emit(j->w, id[i]);
}

/* merges a word; its ids are in own->merging.symbol[0 ... *count) */
static mega_status merge_word(const struct job *j, const char *text, size_t n, size_t *count)
{
    struct mega_merging *merging = &j->own->merging;
    int32_t *symbol = mega_merging_room(merging, n);
    if (!symbol) return mega_fail(MEGA_NO_MEMORY, "no memory to encode a long word");
    if (j->m->longest_word)
        return mega_wordpiece_cut(j->t, j->m, text, n, &j->own->piece, symbol, count);
    size_t symbols = symbols_of((void *)(uintptr_t)j, text, n, symbol, NULL);
    return mega_merges_apply(&j->m->merges, merging, symbols, count);
}

/* windows know nothing of a word's start and end */
static bool by_windows(const struct job *j, size_t n)
{
    return n >= MEGA_WORD_LONG && !j->m->longest_word && !j->m->prefix.size &&
           !j->m->suffix.size;
}

static mega_status merge_windows(const struct job *j, const char *text, size_t n)
{
    struct mega_long_word word = { .symbols = symbols_of,
        .emit = emit_ids,
        .arg = (void *)(uintptr_t)j,
        .characters = !j->m->splitter.byte_level };
    return mega_merges_apply_long(&j->m->merges, &j->own->merging, &word, text, n);
}

/* the piece that a word is as a whole, or -1 */
static int32_t find_whole(const struct job *j, const char *text, size_t n)
{
    if (!j->m->splitter.byte_level) return mega_vocab_find(&j->t->vocab, text, n);
    struct mega_text *piece = &j->own->piece;
    mega_text_clear(piece);
    mega_chars_of_bytes(text, n, piece);
    return piece->failed ? -1 : mega_vocab_find(&j->t->vocab, piece->data, piece->size);
}

static mega_status encode_part(const struct job *j, const char *text, size_t n)
{
    uint64_t hash = mega_hash_bytes(text, n);
    int32_t known;
    const int32_t *id = mega_word_cache_find(&j->own->cache, text, n, hash, &known);
    if (id) {
        for (int32_t i = 0; i < known; i++) mega_emit(j->w, id[i]);
        return MEGA_OK;
    }
    size_t count = 1;
    int32_t whole = j->m->whole_first ? find_whole(j, text, n) : -1;
    if (whole < 0 && by_windows(j, n)) return merge_windows(j, text, n);
    if (whole < 0) MEGA_TRY(merge_word(j, text, n, &count));
    id = whole < 0 ? j->own->merging.symbol : &whole;
    emit_ids((void *)(uintptr_t)j, id, count);
    if (n <= MEGA_WORD_CACHED)
        mega_word_cache_add(&j->own->cache, text, n, hash, id, (int32_t)count);
    return MEGA_OK;
}

/* Does the character have a piece? Where unknown ones are fused, a seam between two of them
 * does not count. */
static bool is_known(const struct job *j, const char *p, int length)
{
    return mega_vocab_find(&j->t->vocab, p, (size_t)length) >= 0;
}

static mega_status encode_by_seams(const struct job *j, const char *text, size_t n)
{
    const char *from = text, *end = text + n, *before = text;
    uint32_t left = 0, right;
    int length, was = 0;
    for (const char *p = text; (length = mega_char_read(p, end, &right));
         before = p, p += length, left = right, was = length) {
        if (p == from || !mega_seams_between(&j->m->seams, left, right)) continue;
        if (j->m->fuse_unk && !is_known(j, p, length) && !is_known(j, before, was)) continue;
        MEGA_TRY(encode_part(j, from, (size_t)(p - from)));
        from = p;
    }
    return from < end ? encode_part(j, from, (size_t)(end - from)) : MEGA_OK;
}

static mega_status encode_word(void *arg, const char *word, size_t n)
{
    const struct job *j = arg;
    if (j->w->status) return j->w->status;
    return j->m->cuts ? encode_by_seams(j, word, n) : encode_part(j, word, n);
}

/* a stretch of valid text after normalising: the tokens that are looked for only now, and words
 */
static mega_status encode_normal(const struct job *j, const char *text, size_t n, bool first)
{
    size_t from = 0, start, stop;
    const struct mega_added *a;
    while ((a = mega_specials_find(
                &j->t->specials, true, j->w->specials, text, n, from, &start, &stop))) {
        MEGA_TRY(mega_splitter_run(&j->m->splitter, &j->own->splitting, text + from,
            start - from, first && !from, encode_word, (void *)(uintptr_t)j));
        mega_emit(j->w, a->id);
        from = stop;
    }
    return mega_splitter_run(&j->m->splitter, &j->own->splitting, text + from, n - from,
        first && !from, encode_word, (void *)(uintptr_t)j);
}

static mega_status encode_valid(const struct job *j, const char *text, size_t n, bool first)
{
    struct own *own = j->own;
    if (!j->m->normalizer.n) return encode_normal(j, text, n, first);
    if (!own->splitting.matcher) MEGA_TRY(mega_matcher_new(&own->splitting.matcher));
    bool goes_on = j->w->inside && text == j->w->text;
    MEGA_TRY(mega_normalizer_run(&j->m->normalizer, own->splitting.matcher, text, n, goes_on,
        &own->normal, &own->spare));
    return encode_normal(j, own->normal.data, own->normal.size, first);
}

mega_status mega_bpe_model_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first)
{
    if (!w->own) w->own = calloc(1, sizeof(struct own));
    if (!w->own) return no_memory();
    struct job j = { t, t->model, w, w->own };
    const char *end = text + n;
    for (const char *p = text, *from = p; p < end; from = p) {
        p = mega_text_valid_end(p, end);
        if (p > from)
            MEGA_TRY(encode_valid(&j, from, (size_t)(p - from), first && from == text));
        /* what is no character is a word of its own, byte by byte */
        const char *broken = p;
        uint32_t code;
        while (p < end && !mega_char_read(p, end, &code)) p++;
        if (p > broken && !j.m->splitter.byte_level) return mega_fail_utf8(w, broken);
        if (p > broken) MEGA_TRY(encode_part(&j, broken, (size_t)(p - broken)));
    }
    return w->status;
}
