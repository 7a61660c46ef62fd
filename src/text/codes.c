/* The file says "left right" a line, best merge first. Ids come from a dictionary beside it, or
 * else are given to pieces in the order in which the file makes them. */
#include "text/codes.h"

#include <stdlib.h>

#include "text/dictionary.h"
#include "text/unicode.h"
#include "text/word_cache.h"

#define WORD_END "</w>"
#define JOINER "@@"

/* ---- codes ---- */

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for codes");
}

static mega_status symbol_of(struct mega_codes *c, const char *text, size_t n, int32_t *symbol)
{
    *symbol = mega_vocab_find(&c->symbol, text, n);
    if (*symbol >= 0) return MEGA_OK;
    *symbol = c->symbol.n;
    return mega_vocab_set(&c->symbol, *symbol, text, n, 0);
}

static mega_status read_line(struct mega_codes *c, struct mega_text *both, const char *name,
    int64_t line, const char *text, size_t n)
{
    const char *blank = memchr(text, ' ', n);
    size_t left = blank ? (size_t)(blank - text) : 0, right = blank ? n - left - 1 : 0;
    if (!left || !right || memchr(blank + 1, ' ', right))
        return mega_fail(MEGA_BAD_FILE,
            "%s:%lld: expected two symbols with a blank between, found '%.*s'", name,
            (long long)line, (int)(n < 80 ? n : 80), text);
    struct mega_merge merge = { .rank = (int32_t)line };
    mega_text_clear(both);
    mega_text_add_bytes(both, text, left);
    mega_text_add_bytes(both, blank + 1, right);
    if (both->failed) return no_memory();
    MEGA_TRY(symbol_of(c, text, left, &merge.left));
    MEGA_TRY(symbol_of(c, blank + 1, right, &merge.right));
    MEGA_TRY(symbol_of(c, both->data, both->size, &merge.joined));
    return mega_merges_add(&c->merges, merge, false);
}

mega_status mega_codes_read(struct mega_codes *c, struct mega_arena *arena, const char *name,
    const char *text, size_t n)
{
    struct mega_text both = { 0 };
    mega_status status = MEGA_OK;
    int64_t line = 0;
    c->symbol.arena = arena;
    c->end_alone = true;
    for (const char *p = text, *end = text + n, *stop; p < end && !status; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t size = (size_t)(stop - p);
        while (size && (p[size - 1] == '\r' || p[size - 1] == ' ')) size--;
        if (!line++ && size > 10 && !memcmp(p, "#version: ", 10)) {
            c->end_alone = size >= 13 && !memcmp(p + 10, "0.1", 3);
            continue;
        }
        status = line > INT32_MAX ? mega_fail(MEGA_UNSUPPORTED, "%s: too many codes", name)
                                  : read_line(c, &both, name, line, p, size);
    }
    mega_text_done(&both);
    return status ? status : symbol_of(c, WORD_END, sizeof WORD_END - 1, &c->word_end);
}

void mega_codes_done(struct mega_codes *c)
{
    mega_vocab_done(&c->symbol);
    mega_merges_done(&c->merges);
    free(c->id);
    *c = (struct mega_codes){ 0 };
}

/* ---- words ---- */

static bool ends_word(const struct mega_span *symbol)
{
    size_t size = sizeof WORD_END - 1;
    return symbol->size >= size && !memcmp(symbol->data + symbol->size - size, WORD_END, size);
}

/* the symbols that a word starts from; *offset: where each begins. Characters that no code
 * names are -1. */
static size_t symbols_of(const struct mega_codes *c, struct mega_text *last, const char *word,
    size_t n, int32_t *symbol, uint32_t *offset)
{
    const char *end = word + n;
    size_t count = 0;
    uint32_t code;
    for (const char *p = word; p < end;) {
        int length = mega_char_read(p, end, &code);
        if (!length) length = 1;
        offset[count] = (uint32_t)(p - word);
        bool closes = p + length == end && !c->end_alone;
        mega_text_clear(last);
        mega_text_add_bytes(last, p, (size_t)length);
        if (closes) mega_text_add(last, WORD_END);
        symbol[count++] =
            last->failed ? -1 : mega_vocab_find(&c->symbol, last->data, last->size);
        p += length;
    }
    offset[count] = (uint32_t)n;
    if (c->end_alone) symbol[count++] = c->word_end;
    return count;
}

mega_status mega_codes_each_piece(const struct mega_codes *c, struct mega_merging *w,
    const char *word, size_t n, mega_status (*take)(void *arg, const char *piece, size_t size),
    void *arg)
{
    struct mega_text text = { 0 };
    int32_t *symbol = mega_merging_room(w, n + 2);
    uint32_t *offset = mega_merging_offsets(w, n + 2);
    if (!symbol || !offset || n > INT32_MAX) return no_memory();
    size_t count = symbols_of(c, &text, word, n, symbol, offset);
    mega_status status = mega_merges_apply_places(&c->merges, w, count, &count);
    /* pieces are stretches of the word, whatever their symbols are called */
    if (count && w->symbol[count - 1] == c->word_end && c->end_alone) count--;
    for (size_t i = 0; i < count && !status; i++) {
        size_t from = offset[w->place[i]], to = i + 1 < count ? offset[w->place[i + 1]] : n;
        mega_text_clear(&text);
        mega_text_add_bytes(&text, word + from, to - from);
        if (to < n) mega_text_add(&text, JOINER);
        status = text.failed ? no_memory() : take(arg, text.data, text.size);
    }
    mega_text_done(&text);
    return status;
}

/* ---- ids ---- */

static mega_status add_piece(
    mega_tokenizer *t, const struct mega_span *symbol, size_t size, const char *joiner)
{
    struct mega_text piece = { 0 };
    mega_text_add_bytes(&piece, symbol->data, size);
    mega_text_add(&piece, "%s", joiner);
    mega_status status = piece.failed ? no_memory() : MEGA_OK;
    if (!status && mega_vocab_find(&t->vocab, piece.data, piece.size) < 0)
        status = mega_vocab_set(&t->vocab, t->vocab.n, piece.data, piece.size, 0);
    mega_text_done(&piece);
    return status;
}

/* without a dictionary: the pieces that codes can make, as they come; single characters inside
 * words and at their ends */
static mega_status number_pieces(mega_tokenizer *t, const struct mega_codes *c)
{
    MEGA_TRY(mega_dictionary_read(&t->vocab, "", "", 0));
    for (int32_t s = 0; s < c->symbol.n; s++) {
        const struct mega_span *symbol = &c->symbol.piece[s].text;
        bool ends = ends_word(symbol);
        size_t size = symbol->size - (ends ? sizeof WORD_END - 1 : 0);
        uint32_t code;
        if (!size) continue;
        bool single = mega_char_read(symbol->data, symbol->data + size, &code) == (int)size;
        if (single || !ends) MEGA_TRY(add_piece(t, symbol, size, JOINER));
        if (single || ends || c->end_alone) MEGA_TRY(add_piece(t, symbol, size, ""));
    }
    return MEGA_OK;
}

static void open_pieces(struct mega_vocab *v)
{
    size_t size = sizeof JOINER - 1;
    for (int32_t id = 0; id < v->n; id++) {
        struct mega_span *surface = &v->piece[id].surface;
        if (surface->size <= size ||
            memcmp(surface->data + surface->size - size, JOINER, size) != 0)
            continue;
        surface->size -= size;
        v->piece[id].flags |= MEGA_PIECE_OPEN;
    }
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    struct mega_codes *c = calloc(1, sizeof *c);
    const struct mega_text *file = &t->source[0].bytes;
    const struct mega_text *dictionary;
    if (!c) return no_memory();
    t->model = c;
    MEGA_TRY(mega_codes_read(c, &t->arena, path, file->data, file->size));
    MEGA_TRY(mega_tokenizer_sibling(t, path, "dict.txt", &dictionary));
    if (dictionary)
        MEGA_TRY(
            mega_dictionary_read(&t->vocab, "dict.txt", dictionary->data, dictionary->size));
    else
        MEGA_TRY(number_pieces(t, c));
    mega_dictionary_specials(t);
    open_pieces(&t->vocab);
    t->joining.blank = " ";
    return MEGA_OK;
}

/* ---- the kind ---- */

struct own {
    struct mega_merging merging;
    struct mega_word_cache cache;
    struct mega_ids ids; /* of a word */
};

static void forget(void *own)
{
    struct own *o = own;
    mega_merging_done(&o->merging);
    mega_word_cache_done(&o->cache);
    mega_ids_done(&o->ids);
    free(o);
}

static void done(void *model)
{
    mega_codes_done(model);
    free(model);
}

struct taker {
    const mega_tokenizer *t;
    struct mega_ids *ids;
};

static mega_status take_piece(void *arg, const char *piece, size_t size)
{
    const struct taker *k = arg;
    int32_t id = mega_vocab_find(&k->t->vocab, piece, size);
    if (id < 0) id = k->t->special[MEGA_UNK];
    return mega_ids_add(k->ids, &id, 1) ? MEGA_OK : no_memory();
}

static mega_status emit_word(
    const mega_tokenizer *t, struct mega_workspace *w, const char *word, size_t n)
{
    struct own *own = w->own;
    uint64_t hash = mega_hash_bytes(word, n);
    int32_t known;
    const int32_t *id = mega_word_cache_find(&own->cache, word, n, hash, &known);
    if (!id) {
        struct taker k = { t, &own->ids };
        own->ids.n = 0;
        MEGA_TRY(mega_codes_each_piece(t->model, &own->merging, word, n, take_piece, &k));
        id = own->ids.id;
        known = (int32_t)own->ids.n;
        mega_word_cache_add(&own->cache, word, n, hash, id, known);
    }
    for (int32_t i = 0; i < known; i++) mega_emit(w, id[i]);
    return MEGA_OK;
}

static bool separates(uint32_t code)
{
    return code == ' ' || code == '\n' || code == '\r';
}

static mega_status encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first)
{
    (void)first;
    if (!w->own) w->own = calloc(1, sizeof(struct own));
    if (!w->own) return no_memory();
    return mega_each_word(t, w, text, n, separates, emit_word);
}

static bool is(const char *path, const char *bytes, size_t n)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t size = strlen(name);
    return (n > 9 && !memcmp(bytes, "#version:", 9)) || !strcmp(name, "bpe.codes") ||
           (size > 6 && !strcmp(name + size - 6, ".codes"));
}

const struct mega_tokenizer_kind mega_tokenizer_kind_codes = {
    .name = "BPE codes",
    .files = "bpe.codes",
    .about = "codes of subword-nmt",
    .is = is,
    .read = read,
    .encode = encode,
    .done = done,
    .forget = forget,
};
