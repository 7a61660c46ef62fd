#include "text/normalize.h"

#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "text/unicode.h"

/* ---- reading ---- */

static mega_status refuse(
    const struct mega_document *d, const struct mega_node *node, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: %s", d->name, node->line, node->column, what);
}

static bool flag(const struct mega_node *node, const char *key, bool fallback)
{
    const struct mega_node *found = mega_node_find(node, key);
    return found && found->kind == MEGA_NODE_BOOL ? found->boolean : fallback;
}

static mega_status read_text(const struct mega_document *d, const struct mega_node *node,
    const char *key, struct mega_span *out)
{
    const struct mega_node *found = mega_node_find(node, key);
    if (!found || found->kind != MEGA_NODE_TEXT) {
        char what[80];
        snprintf(what, sizeof what, "expected a text \"%s\" in this normalizer", key);
        return refuse(d, node, what);
    }
    *out = (struct mega_span){ found->text, found->size };
    return MEGA_OK;
}

static struct mega_normal_step *new_step(struct mega_normalizer *z, enum mega_normal what)
{
    struct mega_normal_step *step = realloc(z->step, (size_t)(z->n + 1) * sizeof *step);
    if (!step) {
        mega_fail(MEGA_NO_MEMORY, "no memory for a normalizer");
        return NULL;
    }
    z->step = step;
    step[z->n] = (struct mega_normal_step){ .what = what };
    return &step[z->n++];
}

mega_status mega_normalizer_bert(
    struct mega_normalizer *z, const struct mega_bert_normalizer *b)
{
    const struct {
        bool is;
        enum mega_normal what;
    } step[] = {
        { b->clean, MEGA_NORMAL_CLEAN },
        { b->ideographs, MEGA_NORMAL_IDEOGRAPHS },
        { b->strip_accents, MEGA_NORMAL_NFD },
        { b->strip_accents, MEGA_NORMAL_STRIP_MARKS },
        { b->lower, MEGA_NORMAL_LOWERCASE },
    };
    for (size_t i = 0; i < sizeof step / sizeof *step; i++)
        if (step[i].is && !new_step(z, step[i].what)) return MEGA_NO_MEMORY;
    return MEGA_OK;
}

/* accents go where it is said, else with upper case */
static mega_status read_bert(struct mega_normalizer *z, const struct mega_node *node)
{
    bool lower = flag(node, "lowercase", true);
    return mega_normalizer_bert(
        z, &(struct mega_bert_normalizer){ .clean = flag(node, "clean_text", true),
               .ideographs = flag(node, "handle_chinese_chars", true),
               .strip_accents = flag(node, "strip_accents", lower),
               .lower = lower });
}

mega_status mega_normalizer_read(
    struct mega_normalizer *z, const struct mega_document *d, const struct mega_node *node)
{
    /* in the order of the enum, which they name */
    static const char names[] =
        "NFC|NFD|NFKC|NFKD|Lowercase|StripAccents|Strip|Prepend|Replace";
    if (!node || node->kind == MEGA_NODE_NULL) return MEGA_OK;
    const struct mega_node *type = mega_node_find(node, "type");
    if (!type || type->kind != MEGA_NODE_TEXT)
        return refuse(d, node, "expected a normalizer with a \"type\"");
    if (!strcmp(type->text, "Sequence")) {
        const struct mega_node *list = mega_node_find(node, "normalizers");
        if (!list || list->kind != MEGA_NODE_LIST)
            return refuse(d, node, "expected a list \"normalizers\" in this Sequence");
        for (const struct mega_node *each = list->first; each; each = each->next)
            MEGA_TRY(mega_normalizer_read(z, d, each));
        return MEGA_OK;
    }
    if (!strcmp(type->text, "BertNormalizer")) return read_bert(z, node);
    int what = mega_choice_find(names, type->text);
    if (what < 0)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: the normalizer '%.80s' is not supported (NFC, NFD, NFKC, NFKD, "
            "Lowercase, "
            "StripAccents, Strip, Prepend, Replace, BertNormalizer and Sequence are)",
            d->name, type->line, type->column, type->text);
    struct mega_normal_step *step = new_step(z, (enum mega_normal)what);
    if (!step) return MEGA_NO_MEMORY;
    step->left = flag(node, "strip_left", true);
    step->right = flag(node, "strip_right", true);
    if (what == MEGA_NORMAL_PREPEND) return read_text(d, node, "prepend", &step->text);
    if (what != MEGA_NORMAL_REPLACE) return MEGA_OK;
    MEGA_TRY(read_text(d, node, "content", &step->text));
    return mega_pattern_read(&step->pattern, d, node);
}

void mega_normalizer_done(struct mega_normalizer *z)
{
    for (int i = 0; i < z->n; i++) mega_pattern_free(z->step[i].pattern);
    free(z->step);
    *z = (struct mega_normalizer){ 0 };
}

/* ---- running ---- */

static bool is_ascii(const char *text, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= (unsigned char)text[i];
    return any < 0x80;
}

/* the end of a part that may be normalised alone: no ASCII character joins what is before it */
static size_t part_end(const char *text, size_t n, size_t from)
{
    enum { PART = 1 << 16 };
    size_t end = from + PART;
    while (end < n && (unsigned char)text[end] >= 0x80) end++;
    return end < n ? end : n;
}

static mega_status normal_form(
    enum mega_normal what, const char *text, size_t n, struct mega_text *out)
{
    static const int forms[] = {
        UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    for (size_t at = 0, end; at < n; at = end) {
        end = part_end(text, n, at);
        if (is_ascii(text + at, end - at)) {
            mega_text_add_bytes(out, text + at, end - at);
            continue;
        }
        utf8proc_uint8_t *made = NULL;
        utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text + at,
            (utf8proc_ssize_t)(end - at), &made, (utf8proc_option_t)forms[what]);
        if (size < 0)
            return mega_fail(
                MEGA_BAD_FILE, "cannot normalise the text: %s", utf8proc_errmsg(size));
        mega_text_add_bytes(out, made, (size_t)size);
        free(made);
    }
    return MEGA_OK;
}

/* what may be put into the text in place of a character: itself, nothing, something else */
static void put_cleaned(uint32_t code, const char *p, int length, struct mega_text *out)
{
    bool line = code == '\t' || code == '\n' || code == '\r';
    if (!line && (code == 0xFFFD || mega_char_is_other(code))) return;
    if (line || mega_char_is_space(code))
        mega_text_add_bytes(out, " ", 1);
    else
        mega_text_add_bytes(out, p, (size_t)length);
}

static void put_apart(uint32_t code, const char *p, int length, struct mega_text *out)
{
    bool apart = mega_char_is_ideograph(code);
    if (apart) mega_text_add_bytes(out, " ", 1);
    mega_text_add_bytes(out, p, (size_t)length);
    if (apart) mega_text_add_bytes(out, " ", 1);
}

static void put_unless(bool gone, const char *p, int length, struct mega_text *out)
{
    mega_text_add_bytes(out, p, gone ? 0 : (size_t)length);
}

static void put_lower(uint32_t code, struct mega_text *out)
{
    char bytes[4];
    /* the one letter whose lower case is two characters */
    if (code == 0x130) {
        mega_text_add(out, "i\xCC\x87");
        return;
    }
    code = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    mega_text_add_bytes(out, bytes, (size_t)mega_char_write(code, bytes));
}

static void by_character(
    enum mega_normal what, const char *text, const char *end, struct mega_text *out)
{
    uint32_t code;
    int length;
    for (const char *p = text; p < end; p += length) {
        length = mega_char_read(p, end, &code);
        if (!length) return;
        utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
        switch (what) {
        case MEGA_NORMAL_STRIP_ACCENTS:
            put_unless(c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME, p, length, out);
            break;
        case MEGA_NORMAL_STRIP_MARKS:
            put_unless(c == UTF8PROC_CATEGORY_MN, p, length, out);
            break;
        case MEGA_NORMAL_CLEAN: put_cleaned(code, p, length, out); break;
        case MEGA_NORMAL_IDEOGRAPHS: put_apart(code, p, length, out); break;
        default: put_lower(code, out);
        }
    }
}

static void strip(const struct mega_normal_step *s, const char *text, size_t n, bool goes_on,
    struct mega_text *out)
{
    const char *from = text, *end = text + n, *close = from, *p;
    uint32_t code;
    int length;
    bool begun = !s->left || goes_on;
    for (p = text; (length = mega_char_read(p, end, &code)); p += length) {
        if (mega_char_is_space(code)) continue;
        if (!begun) from = p;
        begun = true;
        close = p + length;
    }
    if (!s->right) close = end;
    if (!begun) from = close;
    mega_text_add_bytes(out, from, (size_t)(close - from));
}

static mega_status replace(const struct mega_normal_step *s, struct mega_matcher *m,
    const char *text, size_t n, struct mega_text *out)
{
    size_t at = 0, from = 0, start, stop;
    for (;;) {
        MEGA_TRY(mega_pattern_find(s->pattern, m, text, n, from, &start, &stop));
        if (start > n) break;
        mega_text_add_bytes(out, text + at, start - at);
        mega_text_add_bytes(out, s->text.data, s->text.size);
        at = from = stop;
        if (stop > start) continue;
        /* an empty match: go on behind the next character */
        uint32_t code;
        int length = mega_char_read(text + from, text + n, &code);
        if (!length) break;
        from += (size_t)length;
    }
    mega_text_add_bytes(out, text + at, n - at);
    return MEGA_OK;
}

static mega_status run_step(const struct mega_normal_step *s, struct mega_matcher *m,
    const char *text, size_t n, bool goes_on, struct mega_text *out)
{
    switch (s->what) {
    case MEGA_NORMAL_NFC:
    case MEGA_NORMAL_NFD:
    case MEGA_NORMAL_NFKC:
    case MEGA_NORMAL_NFKD: return normal_form(s->what, text, n, out);
    case MEGA_NORMAL_LOWERCASE:
    case MEGA_NORMAL_CLEAN:
    case MEGA_NORMAL_IDEOGRAPHS:
    case MEGA_NORMAL_STRIP_MARKS:
    case MEGA_NORMAL_STRIP_ACCENTS: by_character(s->what, text, text + n, out); return MEGA_OK;
    case MEGA_NORMAL_STRIP: strip(s, text, n, goes_on, out); return MEGA_OK;
    case MEGA_NORMAL_PREPEND:
        if (n && !goes_on) mega_text_add_bytes(out, s->text.data, s->text.size);
        mega_text_add_bytes(out, text, n);
        return MEGA_OK;
    case MEGA_NORMAL_REPLACE: return replace(s, m, text, n, out);
    }
    return MEGA_OK;
}

mega_status mega_normalizer_run(const struct mega_normalizer *z, struct mega_matcher *m,
    const char *text, size_t n, bool goes_on, struct mega_text *out, struct mega_text *spare)
{
    mega_text_clear(out);
    mega_text_add(out, "%s", "");
    if (!z->n) mega_text_add_bytes(out, text, n);
    for (int i = 0; i < z->n; i++) {
        struct mega_text was = *out;
        /* the last result becomes the source: the two texts change places */
        if (i) {
            *out = *spare;
            *spare = was;
        }
        mega_text_clear(out);
        mega_text_add(out, "%s", "");
        MEGA_TRY(run_step(
            &z->step[i], m, i ? spare->data : text, i ? spare->size : n, goes_on, out));
        if (out->failed || spare->failed)
            return mega_fail(MEGA_NO_MEMORY, "no memory to normalise a text");
    }
    return MEGA_OK;
}
