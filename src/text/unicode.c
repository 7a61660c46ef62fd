#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "format/scalar.h"

int mega_char_read(const char *p, const char *end, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)p;
    if (p >= end) return 0;
    if (*u < 0x80) {
        *code = *u;
        return 1;
    }
    int length = mega_utf8_length(u, (const unsigned char *)end);
    if (!length) return 0;
    uint32_t value = *u & (0x7Fu >> length);
    for (int i = 1; i < length; i++) value = value << 6 | (u[i] & 0x3Fu);
    *code = value;
    return length;
}

int mega_char_write(uint32_t code, char out[4])
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

const char *mega_text_valid_end(const char *p, const char *end)
{
    uint64_t eight;
    for (;;) {
        for (; end - p >= 8; p += 8) {
            memcpy(&eight, p, 8);
            if (eight & 0x8080808080808080u) break;
        }
        int length =
            p < end ? mega_utf8_length((const unsigned char *)p, (const unsigned char *)end)
                    : 0;
        if (!length) return p;
        p += length;
    }
}

/* could these n bytes be completed to a valid character? */
static bool may_begin(const unsigned char *p, size_t n)
{
    unsigned char whole[4] = { 0x80, 0x80, 0x80, 0x80 };
    size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
    if (n >= length) return false;
    for (size_t i = 0; i < n; i++) whole[i] = p[i];
    /* the least or the greatest byte fits behind a first byte that is choosy */
    if (mega_utf8_length(whole, whole + length)) return true;
    if (n == 1) whole[1] = 0xBF;
    return mega_utf8_length(whole, whole + length) > 0;
}

size_t mega_char_pending(const char *text, const char *end)
{
    for (size_t n = 1; n <= 3 && n <= (size_t)(end - text); n++)
        if (may_begin((const unsigned char *)end - n, n)) return n;
    return 0;
}

bool mega_char_is_space(uint32_t code)
{
    if (code < 0x85) return (code >= 9 && code <= 13) || code == ' ';
    return code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
           code == 0x202F || code == 0x205F || code == 0x3000;
}

static utf8proc_category_t category(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code);
}

bool mega_char_is_word(uint32_t code)
{
    utf8proc_category_t c = category(code);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_ND) ||
           c == UTF8PROC_CATEGORY_PC;
}

bool mega_char_is_numeric(uint32_t code)
{
    utf8proc_category_t c = category(code);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool mega_char_is_punctuation(uint32_t code)
{
    utf8proc_category_t c = category(code);
    if (code < 0x80 && (c >= UTF8PROC_CATEGORY_SM && c <= UTF8PROC_CATEGORY_SO)) return true;
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool mega_char_is_other(uint32_t code)
{
    utf8proc_category_t c = category(code);
    return c >= UTF8PROC_CATEGORY_CC && c <= UTF8PROC_CATEGORY_CO;
}

bool mega_char_is_ideograph(uint32_t code)
{
    static const uint32_t range[][2] = { { 0x4E00, 0x9FFF }, { 0x3400, 0x4DBF },
        { 0x20000, 0x2A6DF }, { 0x2A700, 0x2B73F }, { 0x2B740, 0x2B81F }, { 0x2B920, 0x2CEAF },
        { 0xF900, 0xFAFF }, { 0x2F800, 0x2FA1F } };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (code >= range[i][0] && code <= range[i][1]) return true;
    return false;
}
