/* JSON (RFC 8259), strict, with the place of every value: 250 lines that name a wrong key's
 * line are worth more here than a library that cannot (docs/adr). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/scalar.h"

struct parser {
    struct mega_document *d;
    const unsigned char *start, *at, *end, *line_start;
    int line, depth;
};

static int column(const struct parser *p)
{
    return (int)(p->at - p->line_start) + 1;
}

static mega_status refuse(const struct parser *p, const char *expected)
{
    char found[32] = "the end of the file";
    if (p->at < p->end)
        snprintf(
            found, sizeof found, *p->at >= 32 && *p->at < 127 ? "'%c'" : "byte 0x%02x", *p->at);
    return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: expected %s, found %s", p->d->name, p->line,
        column(p), expected, found);
}

static void skip_blanks(struct parser *p)
{
    for (; p->at < p->end &&
           (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n');
         p->at++)
        if (*p->at == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        }
}

static struct mega_node *new_node(struct parser *p)
{
    struct mega_node *n = mega_arena_zeroed(&p->d->arena, sizeof *n);
    if (n) {
        n->line = p->line;
        n->column = column(p);
    }
    return n;
}

static mega_status no_memory(const struct parser *p)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", p->d->name);
}

/* ---- strings ---- */

static bool read_hex(struct parser *p, unsigned *value)
{
    static const char figures[] = "0123456789abcdefABCDEF";
    *value = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        if (p->at >= p->end) return false;
        unsigned char c = *p->at;
        const char *digit = c ? strchr(figures, c) : NULL;
        if (!digit) return false;
        unsigned place = (unsigned)(digit - figures);
        *value = *value << 4 | (place < 16 ? place : place - 6);
    }
    return true;
}

static int encode(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((n == 2 ? 0xC0u : n == 3 ? 0xE0u : 0xF0u) | code);
    return n;
}

/* after "\u"; a surrogate must come with its other half */
static mega_status read_code(struct parser *p, unsigned *code)
{
    unsigned low;
    if (!read_hex(p, code)) return refuse(p, "four hexadecimal digits");
    if (*code >= 0xDC00 && *code < 0xE000)
        return refuse(p, "a first surrogate before the second");
    if (*code < 0xD800 || *code >= 0xE000) return MEGA_OK;
    if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
        return refuse(p, "the second half of a surrogate pair");
    p->at += 2;
    if (!read_hex(p, &low) || low < 0xDC00 || low >= 0xE000)
        return refuse(p, "the second half of a surrogate pair");
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return MEGA_OK;
}

static mega_status read_escape(struct parser *p, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->at >= p->end) return refuse(p, "an escape");
    if (*p->at == 'u') {
        unsigned code;
        p->at++;
        MEGA_TRY(read_code(p, &code));
        *n += (size_t)encode(code, out + *n);
        return MEGA_OK;
    }
    const char *which = *p->at ? strchr(from, *p->at) : NULL;
    if (!which) return refuse(p, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    out[(*n)++] = to[which - from];
    p->at++;
    return MEGA_OK;
}

/* the text after an opening quote, up to and past the closing one */
static mega_status read_string(struct parser *p, const char **text, size_t *size)
{
    /* escapes only shrink: the rest of the string's raw length is room enough */
    const unsigned char *close = p->at;
    while (close < p->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= p->end) {
        p->at = p->end;
        return refuse(p, "a closing \"");
    }
    char *out = mega_arena_get(&p->d->arena, (size_t)(close - p->at) + 1);
    size_t n = 0;
    if (!out) return no_memory(p);
    while (*p->at != '"') {
        if (*p->at < 0x20) return refuse(p, "no control character in a string (write \\u00..)");
        if (*p->at == '\\') {
            p->at++;
            MEGA_TRY(read_escape(p, out, &n));
            continue;
        }
        int length = mega_utf8_length(p->at, p->end);
        if (!length) return refuse(p, "valid UTF-8");
        memcpy(out + n, p->at, (size_t)length);
        n += (size_t)length;
        p->at += length;
    }
    p->at++;
    out[n] = 0;
    *text = out;
    *size = n;
    return MEGA_OK;
}

/* ---- values ---- */

static mega_status read_value(struct parser *p, struct mega_node *n);

static mega_status read_number(struct parser *p, struct mega_node *n)
{
    const unsigned char *from = p->at;
    while (p->at < p->end && (strchr("+-.eE", *p->at) || (*p->at >= '0' && *p->at <= '9')) &&
           *p->at)
        p->at++;
    size_t size = (size_t)(p->at - from);
    char *text = mega_arena_get(&p->d->arena, size + 1);
    if (!text) return no_memory(p);
    memcpy(text, from, size);
    text[size] = 0;
    n->text = text;
    n->size = size;
    /* JSON's numbers are the schema's without leading zeros, signs and bare points */
    const char *body = text + (*text == '-');
    const char *point = strchr(body, '.');
    bool strict = *body >= '0' && *body <= '9' &&
                  !(body[0] == '0' && body[1] >= '0' && body[1] <= '9') &&
                  !(point && !(point[1] >= '0' && point[1] <= '9'));
    if (strict) mega_scalar_resolve(n);
    if (!strict || (n->kind != MEGA_NODE_INT && n->kind != MEGA_NODE_REAL)) {
        p->at = from;
        return refuse(p, "a number");
    }
    if (!isfinite(n->real))
        return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: the number %.40s is too large", p->d->name,
            n->line, n->column, text);
    return MEGA_OK;
}

static mega_status read_word(struct parser *p, struct mega_node *n)
{
    static const char *const words[] = { "null", "true", "false" };
    for (int i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(p->end - p->at) < size || memcmp(p->at, words[i], size) != 0) continue;
        n->kind = i ? MEGA_NODE_BOOL : MEGA_NODE_NULL;
        n->boolean = i == 1;
        n->text = words[i];
        n->size = size;
        p->at += size;
        return MEGA_OK;
    }
    return refuse(p, "a value");
}

static mega_status read_member(struct parser *p, struct mega_node *n)
{
    size_t size;
    if (p->at >= p->end || *p->at != '"') return refuse(p, "a key in quotes");
    p->at++;
    MEGA_TRY(read_string(p, &n->key, &size));
    if (strlen(n->key) != size)
        return mega_fail(
            MEGA_BAD_FILE, "%s:%d:%d: a key with a NUL inside", p->d->name, n->line, n->column);
    skip_blanks(p);
    if (p->at >= p->end || *p->at != ':') return refuse(p, "':'");
    p->at++;
    skip_blanks(p);
    return read_value(p, n);
}

static mega_status read_children(struct parser *p, struct mega_node *n, char close)
{
    struct mega_node **end = &n->first;
    n->kind = close == '}' ? MEGA_NODE_MAP : MEGA_NODE_LIST;
    p->at++;
    skip_blanks(p);
    if (p->at < p->end && *p->at == close) {
        p->at++;
        return MEGA_OK;
    }
    for (;;) {
        struct mega_node *child = new_node(p);
        if (!child) return no_memory(p);
        *end = child;
        end = &child->next;
        MEGA_TRY(n->kind == MEGA_NODE_MAP ? read_member(p, child) : read_value(p, child));
        skip_blanks(p);
        if (p->at < p->end && *p->at == close) break;
        if (p->at >= p->end || *p->at != ',')
            return refuse(p, close == '}' ? "',' or '}'" : "',' or ']'");
        p->at++;
        skip_blanks(p);
    }
    p->at++;
    return n->kind == MEGA_NODE_MAP ? mega_node_check_keys(p->d, n, "\"") : MEGA_OK;
}

static mega_status read_value(struct parser *p, struct mega_node *n)
{
    if (p->at >= p->end) return refuse(p, "a value");
    if (*p->at == '"') {
        p->at++;
        n->kind = MEGA_NODE_TEXT;
        return read_string(p, &n->text, &n->size);
    }
    if (*p->at == '-' || (*p->at >= '0' && *p->at <= '9')) return read_number(p, n);
    if (*p->at != '{' && *p->at != '[') return read_word(p, n);
    if (++p->depth > MEGA_NODE_DEPTH)
        return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: nested deeper than %d", p->d->name, p->line,
            column(p), MEGA_NODE_DEPTH);
    mega_status status = read_children(p, n, *p->at == '{' ? '}' : ']');
    p->depth--;
    return status;
}

mega_status mega_json_parse(
    struct mega_document *d, const char *name, const void *bytes, size_t n)
{
    *d = (struct mega_document){ 0 };
    MEGA_TRY(mega_arena_init(&d->arena, MEGA_DOCUMENT_RESERVE));
    d->name = mega_arena_text(&d->arena, name);
    const unsigned char *start = bytes ? bytes : (const unsigned char *)"";
    struct parser p = {
        .d = d, .start = start, .at = start, .end = start + n, .line_start = start, .line = 1
    };
    if (n >= 3 && !memcmp(start, "\xEF\xBB\xBF", 3)) p.at = p.line_start = start + 3;
    skip_blanks(&p);
    d->root = d->name ? new_node(&p) : NULL;
    mega_status status = d->root ? read_value(&p, d->root)
                                 : mega_fail(MEGA_NO_MEMORY, "no memory to read %s", name);
    skip_blanks(&p);
    if (!status && p.at < p.end) status = refuse(&p, "the end of the file");
    if (status) mega_document_done(d);
    return status;
}

/* ---- printing ---- */

/* the code of a character of two or three bytes */
static unsigned code_of(const unsigned char *p, int length)
{
    return length == 2 ? (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu)
                       : (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
}

/* controls, line separators, byte order marks: valid in JSON, but not in YAML, JavaScript or on
 * a terminal */
static bool is_fragile(const unsigned char *p, int length)
{
    unsigned code = length == 2 || length == 3 ? code_of(p, length) : 0;
    return (code >= 0x80 && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
           code == 0xFEFF || code >= 0xFFFE;
}

void mega_json_add_text(struct mega_text *to, const char *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes, *end = p + n;
    mega_text_add_bytes(to, "\"", 1);
    while (p < end) {
        int length = mega_utf8_length(p, end);
        if (*p == '"' || *p == '\\')
            mega_text_add(to, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7F)
            mega_text_add(to, "\\u%04x", *p);
        else if (is_fragile(p, length))
            mega_text_add(to, "\\u%04x", code_of(p, length));
        else if (length)
            mega_text_add_bytes(to, p, (size_t)length);
        else
            mega_text_add(to, "\\ufffd");
        p += length ? length : 1;
    }
    mega_text_add_bytes(to, "\"", 1);
}

void mega_json_add_real(struct mega_text *to, double value)
{
    char text[32];
    if (isnan(value))
        mega_text_add(to, "\"nan\"");
    else if (isinf(value))
        mega_text_add(to, value > 0 ? "\"inf\"" : "\"-inf\"");
    else {
        mega_real_print(value, text);
        mega_text_add(to, "%s", text);
    }
}

void mega_json_add_node(struct mega_text *to, const struct mega_node *node, int indent)
{
    switch (node->kind) {
    case MEGA_NODE_NULL: mega_text_add(to, "null"); return;
    case MEGA_NODE_BOOL: mega_text_add(to, node->boolean ? "true" : "false"); return;
    case MEGA_NODE_INT: mega_text_add(to, "%lld", (long long)node->integer); return;
    case MEGA_NODE_REAL: mega_json_add_real(to, node->real); return;
    case MEGA_NODE_TEXT: mega_json_add_text(to, node->text, node->size); return;
    case MEGA_NODE_LIST:
    case MEGA_NODE_MAP: break;
    }
    bool map = node->kind == MEGA_NODE_MAP;
    mega_text_add(to, map ? "{" : "[");
    for (const struct mega_node *child = node->first; child; child = child->next) {
        mega_text_add(to, "%s\n%*s", child == node->first ? "" : ",", indent + 2, "");
        if (map) {
            mega_json_add_text(to, child->key, strlen(child->key));
            mega_text_add(to, ": ");
        }
        mega_json_add_node(to, child, indent + 2);
    }
    if (node->first) mega_text_add(to, "\n%*s", indent, "");
    mega_text_add(to, map ? "}" : "]");
}
