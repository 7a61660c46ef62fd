#include "data/text_cut.h"

#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_space(char c)
{
    return c && strchr(" \t\r\n", c);
}

/* n, or less where a character begins that does not end within n bytes */
static size_t whole_characters(const char *text, size_t n)
{
    size_t k = n;
    while (k && n - k < 3 && ((unsigned char)text[k - 1] & 0xC0) == 0x80) k--;
    unsigned char lead = k ? (unsigned char)text[k - 1] : 0;
    size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return n - k + 1 < length ? k - 1 : n;
}

/* a blank between letters, else between what is no blank; 0: none from `at` to `end` */
static size_t find_blank(const char *text, size_t at, size_t end)
{
    size_t second = 0;
    for (size_t i = at; i + 1 < end; i++) {
        if (text[i] == ' ' && is_letter(text[i - 1]) && is_letter(text[i + 1])) return i;
        if (!second && is_space(text[i]) && !is_space(text[i - 1]) && !is_space(text[i + 1]))
            second = i;
    }
    return second;
}

static bool are_equal(const int32_t *a, const int32_t *b, int64_t n)
{
    return !n || !memcmp(a, b, (size_t)n * sizeof *a);
}

/* are the ids of both parts those of the whole? *first: how many the first part has */
static mega_status try_cut(const struct mega_text_encoder *e, const char *text, size_t n,
    bool begins, size_t cut, const struct mega_token_list *whole, int64_t *first)
{
    struct mega_token_list part = { 0 };
    *first = -1;
    mega_status status = e->encode(e->arg, text, cut, begins, &part);
    int64_t k = part.n;
    if (!status && k <= whole->n && are_equal(part.id, whole->id, k)) {
        part.n = 0;
        status = e->encode(e->arg, text + cut, n - cut, false, &part);
        if (!status && k + part.n == whole->n && are_equal(part.id, whole->id + k, part.n))
            *first = k;
    }
    mega_token_list_done(&part);
    return status;
}

mega_status mega_text_cut(const struct mega_text_encoder *e, const char *text, size_t n,
    bool begins, struct mega_token_list *ids, size_t *cut)
{
    struct mega_token_list whole = { 0 };
    int64_t first = -1;
    *cut = 0;
    n = whole_characters(text, n);
    mega_status status = e->encode(e->arg, text, n, begins, &whole);
    /* far enough from the end that what follows is not seen from there */
    for (size_t from = n / 8 * 7; !status && first < 0 && from > n / 2; from -= n / 8) {
        size_t at = find_blank(text, from, from + n / 16);
        if (!at) continue;
        status = try_cut(e, text, n, begins, at, &whole, &first);
        if (first >= 0) *cut = at;
    }
    if (!status && *cut) status = mega_token_list_add(ids, whole.id, first);
    mega_token_list_done(&whole);
    return status;
}
