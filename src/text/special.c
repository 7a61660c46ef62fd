#include "text/special.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

mega_status mega_specials_add(struct mega_specials *s, const struct mega_added *added)
{
    if (!added->text.size) return MEGA_OK;
    if (s->n == s->room) {
        int32_t room = s->room ? 2 * s->room : 16;
        struct mega_added *list = realloc(s->added, (size_t)room * sizeof *list);
        if (!list) return mega_fail(MEGA_NO_MEMORY, "no memory for special tokens");
        s->added = list;
        s->room = room;
    }
    s->added[s->n] = *added;
    if (!mega_trie_add(&s->trie[added->normalized], added->text.data, added->text.size, s->n))
        return mega_fail(MEGA_NO_MEMORY, "no memory for special tokens");
    s->n++;
    return MEGA_OK;
}

void mega_specials_done(struct mega_specials *s)
{
    free(s->added);
    mega_trie_done(&s->trie[0]);
    mega_trie_done(&s->trie[1]);
    *s = (struct mega_specials){ 0 };
}

/* the start of the character that ends at p */
static const char *back(const char *text, const char *p)
{
    do p--;
    while (p > text && ((unsigned char)*p & 0xC0) == 0x80);
    return p;
}

static bool stands_alone(const char *text, const char *start, const char *stop, const char *end)
{
    uint32_t code;
    if (start > text && mega_char_read(back(text, start), start, &code) &&
        mega_char_is_word(code))
        return false;
    return !(mega_char_read(stop, end, &code) && mega_char_is_word(code));
}

static const char *skip_spaces(const char *p, const char *end)
{
    uint32_t code;
    int length;
    while ((length = mega_char_read(p, end, &code)) && mega_char_is_space(code)) p += length;
    return p;
}

static const char *skip_spaces_back(const char *text, const char *p)
{
    uint32_t code;
    while (p > text) {
        const char *before = back(text, p);
        if (before + mega_char_read(before, p, &code) != p || !mega_char_is_space(code)) break;
        p = before;
    }
    return p;
}

const struct mega_added *mega_specials_find(const struct mega_specials *s, bool normalized,
    bool specials, const char *text, size_t n, size_t from, size_t *start, size_t *stop)
{
    const struct mega_trie *t = &s->trie[normalized];
    const char *end = text + n, *least = text + from;
    for (const char *p = least; t->n && p < end; p++) {
        if (!t->first[(unsigned char)*p]) continue;
        size_t size;
        int32_t which = mega_trie_longest(t, p, end, &size);
        if (which < 0) continue;
        const struct mega_added *a = &s->added[which];
        const char *close = p + size;
        /* what is not taken as a token is passed over whole, as the original does */
        if ((a->special && !specials) ||
            (a->single_word && !stands_alone(text, p, close, end))) {
            p = close - 1;
            continue;
        }
        const char *open = a->lstrip ? skip_spaces_back(least, p) : p;
        if (a->rstrip) close = skip_spaces(close, end);
        *start = (size_t)(open - text);
        *stop = (size_t)(close - text);
        return a;
    }
    return NULL;
}
