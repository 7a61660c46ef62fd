/* SentencePiece's normaliser: the longest rule that fits at each place, from a double-array
 * trie (Yata's Darts-clone), then blanks. */
#include <stdlib.h>

#include "text/spm.h"
#include "text/unicode.h"

/* ---- the trie ---- */

static bool has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t value_of(uint32_t unit)
{
    return unit & 0x7FFFFFFF;
}

static uint32_t label_of(uint32_t unit)
{
    return unit & 0x800000FF;
}

static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 1u << 9) >> 6);
}

mega_status mega_spm_read_rules(
    struct mega_spm *m, const char *name, const char *rules, size_t n)
{
    uint32_t size;
    if (!n) return MEGA_OK;
    if (n < sizeof size)
        return mega_fail(MEGA_BAD_FILE, "%s: the normaliser's rules are cut off", name);
    memcpy(&size, rules, sizeof size);
    /* the texts behind the trie end with a NUL, and each is looked up by its start */
    if (size > n - sizeof size || size % 4 || size < 4 || size == n - sizeof size ||
        rules[n - 1])
        return mega_fail(MEGA_BAD_FILE,
            "%s: the normaliser's rules are damaged: a trie of %u bytes in %zu", name, size, n);
    uint32_t *unit = malloc(size);
    if (!unit) return mega_fail(MEGA_NO_MEMORY, "no memory for %s", name);
    memcpy(unit, rules + sizeof size, size);
    m->unit = unit;
    m->units = size / 4;
    m->replaced = (struct mega_span){ rules + sizeof size + size, n - sizeof size - size };
    return MEGA_OK;
}

/* the longest rule at p: the length of what it replaces, 0 for none, and by what */
static size_t find_rule(
    const struct mega_spm *m, const char *p, const char *end, struct mega_span *by)
{
    size_t longest = 0;
    if (!m->unit) return 0;
    uint32_t at = offset_of(m->unit[0]);
    for (size_t i = 0; i < (size_t)(end - p); i++) {
        unsigned char byte = (unsigned char)p[i];
        at ^= byte;
        if (at >= m->units || label_of(m->unit[at]) != byte) break;
        uint32_t unit = m->unit[at];
        at ^= offset_of(unit);
        if (at >= m->units) break;
        uint32_t value = value_of(m->unit[at]);
        if (!has_leaf(unit) || value >= m->replaced.size) continue;
        longest = i + 1;
        by->data = m->replaced.data + value;
    }
    if (longest) by->size = strlen(by->data);
    return longest;
}

/* ---- texts ---- */

/* how much of the text at p becomes what */
static size_t next_part(
    const struct mega_spm *m, const char *p, const char *end, struct mega_span *becomes)
{
    size_t size;
    uint32_t code;
    if (mega_trie_longest(&m->user, p, end, &size) < 0) {
        size = find_rule(m, p, end, becomes);
        if (size) return size;
        size = (size_t)mega_char_read(p, end, &code);
        if (!size) size = m->any_bytes;
    }
    *becomes = (struct mega_span){ p, size };
    return size;
}

static void add_blank(const struct mega_spm *m, struct mega_text *out)
{
    mega_text_add_bytes(out, m->blank.data, m->blank.size);
}

static void add_part(const struct mega_spm *m, struct mega_span part, struct mega_text *out)
{
    for (const char *p = part.data, *end = p + part.size, *blank; p < end;
         p = blank + (blank < end)) {
        blank = m->escape ? memchr(p, ' ', (size_t)(end - p)) : NULL;
        if (!blank) blank = end;
        mega_text_add_bytes(out, p, (size_t)(blank - p));
        if (blank < end) add_blank(m, out);
    }
}

static bool ends_with_blank(const struct mega_spm *m, const struct mega_text *t)
{
    return t->size >= m->blank.size &&
           !memcmp(t->data + t->size - m->blank.size, m->blank.data, m->blank.size);
}

mega_status mega_spm_normalize(const struct mega_spm *m, struct mega_workspace *w,
    const char *text, size_t n, bool first, struct mega_text *out)
{
    const char *end = text + n;
    /* where a text goes on a blank in front is one between words */
    bool goes_on = w->inside && text == w->text, begun = goes_on,
         was_blank = m->remove_extra && !goes_on;
    mega_text_clear(out);
    for (const char *p = text; p < end;) {
        struct mega_span part;
        size_t size = next_part(m, p, end, &part);
        if (!size) return mega_fail_utf8(w, p);
        p += size;
        if (!begun) {
            if (m->remove_extra && part.size == 1 && *part.data == ' ') continue;
            begun = true;
            if (m->dummy_prefix && first) add_blank(m, out);
        }
        while (was_blank && part.size && *part.data == ' ') {
            part.data++;
            part.size--;
        }
        if (!part.size) continue;
        add_part(m, part, out);
        was_blank = m->remove_extra && part.data[part.size - 1] == ' ';
    }
    while (m->remove_extra && ends_with_blank(m, out)) out->size -= m->blank.size;
    return out->failed ? mega_fail(MEGA_NO_MEMORY, "no memory to normalise a text") : MEGA_OK;
}
