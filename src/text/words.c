/* Words separated by white space, numbered by a dictionary as fairseq writes it: "word count" a
 * line, after the four special ones. Unknown words are <unk>. */
#include <stdlib.h>

#include "text/dictionary.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* the last blank of a line, before which the word stands; NULL: none */
static const char *last_blank(const char *line, size_t n)
{
    const char *blank = memrchr(line, ' ', n);
    return blank && blank > line ? blank : NULL;
}

static bool is_count(const char *text, size_t n)
{
    size_t i = n && *text == '-';
    if (i == n) return false;
    for (; i < n; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return true;
}

static bool take_flag(const char *line, size_t *n)
{
    static const char flag[] = " #fairseq:overwrite";
    size_t size = sizeof flag - 1;
    if (*n < size || memcmp(line + *n - size, flag, size) != 0) return false;
    *n -= size;
    return true;
}

static mega_status add_line(
    struct mega_vocab *v, const char *name, int64_t number, const char *line, size_t n)
{
    bool overwrite = take_flag(line, &n);
    const char *blank = last_blank(line, n);
    if (!blank || !is_count(blank + 1, n - (size_t)(blank + 1 - line)) ||
        mega_text_valid_end(line, line + n) < line + n)
        return mega_fail(MEGA_BAD_FILE, "%s:%lld: expected a word, a blank and its count", name,
            (long long)number);
    size_t size = (size_t)(blank - line);
    int32_t have = mega_vocab_find(v, line, size);
    if (have >= 0 && !overwrite)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%lld: the word '%.*s' stands here for the second time (its id is %d); to "
            "replace "
            "it on purpose, end the line with #fairseq:overwrite",
            name, (long long)number, (int)(size < 100 ? size : 100), line, (int)have);
    int32_t id = v->n;
    MEGA_TRY(mega_vocab_set(v, id, line, size, 0));
    if (have >= 0) mega_vocab_prefer(v, id);
    return MEGA_OK;
}

mega_status mega_dictionary_read(
    struct mega_vocab *v, const char *name, const char *text, size_t n)
{
    static const char *const specials[] = { "<s>", "<pad>", "</s>", "<unk>" };
    int64_t line = 0;
    for (int i = 0; i < 4; i++)
        MEGA_TRY(mega_vocab_set(
            v, i, specials[i], strlen(specials[i]), i < 3 ? MEGA_PIECE_SPECIAL : 0));
    for (const char *p = text, *end = text + n, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t size = (size_t)(stop - p);
        while (size && (p[size - 1] == '\r' || p[size - 1] == ' ' || p[size - 1] == '\t'))
            size--;
        line++;
        if (v->n == MEGA_VOCAB_MOST)
            return mega_fail(MEGA_UNSUPPORTED, "%s: more than %d words", name, MEGA_VOCAB_MOST);
        MEGA_TRY(add_line(v, name, line, p, size));
    }
    return MEGA_OK;
}

bool mega_word_separates(uint32_t code)
{
    return mega_char_is_space(code) || (code >= 0x1C && code <= 0x1F);
}

void mega_dictionary_specials(mega_tokenizer *t)
{
    t->special[MEGA_BOS] = 0;
    t->special[MEGA_PAD] = 1;
    t->special[MEGA_EOS] = 2;
    t->special[MEGA_UNK] = 3;
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    const struct mega_text *file = &t->source[0].bytes;
    MEGA_TRY(mega_dictionary_read(&t->vocab, path, file->data, file->size));
    mega_dictionary_specials(t);
    t->joining.blank = " ";
    return MEGA_OK;
}

mega_status mega_each_word(const mega_tokenizer *t, struct mega_workspace *w, const char *text,
    size_t n, bool (*separates)(uint32_t code),
    mega_status (*take)(
        const mega_tokenizer *t, struct mega_workspace *w, const char *word, size_t size))
{
    const char *end = text + n, *from = text;
    uint32_t code = 0;
    int length;
    for (const char *p = text; p < end; p += length) {
        length = mega_char_read(p, end, &code);
        if (!length) return mega_fail_utf8(w, p);
        if (!separates(code)) continue;
        if (p > from) MEGA_TRY(take(t, w, from, (size_t)(p - from)));
        from = p + length;
        if (code == '\n' && w->frame) mega_emit(w, t->special[MEGA_EOS]);
    }
    if (from < end) MEGA_TRY(take(t, w, from, (size_t)(end - from)));
    /* a line without an end is one too, and so is an empty text */
    if ((!n || code != '\n') && w->frame) mega_emit(w, t->special[MEGA_EOS]);
    return w->status;
}

static mega_status emit_word(
    const mega_tokenizer *t, struct mega_workspace *w, const char *word, size_t size)
{
    int32_t id = mega_vocab_find(&t->vocab, word, size);
    mega_emit(w, id < 0 ? t->special[MEGA_UNK] : id);
    return MEGA_OK;
}

static mega_status encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first)
{
    (void)first;
    return mega_each_word(t, w, text, n, mega_word_separates, emit_word);
}

/* its first line is a word and its count */
static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path;
    const char *stop = n ? memchr(bytes, '\n', n) : NULL;
    size_t size = stop ? (size_t)(stop - bytes) : n;
    while (size && (bytes[size - 1] == '\r' || bytes[size - 1] == ' ')) size--;
    take_flag(bytes, &size);
    const char *blank = size ? last_blank(bytes, size) : NULL;
    return blank && is_count(blank + 1, size - (size_t)(blank + 1 - bytes));
}

const struct mega_tokenizer_kind mega_tokenizer_kind_words = {
    .name = "words",
    .files = "dict.txt",
    .about = "a dictionary of words and counts",
    .is = is,
    .read = read,
    .encode = encode,
};
