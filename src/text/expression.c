/* Where the two differ: \s (PCRE2 also takes U+180E), \w and \b (PCRE2 leaves marks out), \h (a
 * hexadecimal digit, not a blank), sets inside sets, and repeated bounds, {1,3}+. */
#include "text/expression.h"

#include <stdbool.h>
#include <string.h>

#define WORD "[" MEGA_WORD_CLASS "]"

struct translator {
    const char *where, *at, *end;
    struct mega_text *out;
    bool set;       /* inside [...] */
    bool set_begun; /* something stands in it: a ] would end it */
};

static mega_status refuse(const struct translator *t, const char *what)
{
    return mega_fail(MEGA_UNSUPPORTED, "%s: %s in a pattern is not supported", t->where, what);
}

/* after a backslash */
static mega_status translate_escape(struct translator *t)
{
    static const struct {
        char letter;
        const char *outside, *inside; /* NULL: cannot be said */
    } known[] = {
        { 's', "\\p{White_Space}", "\\p{White_Space}" },
        { 'S', "\\P{White_Space}", "\\P{White_Space}" },
        { 'w', WORD, MEGA_WORD_CLASS },
        { 'W', "[^" MEGA_WORD_CLASS "]", NULL },
        { 'b', "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))", "\\b" },
        { 'B', "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))", NULL },
        { 'h', "[0-9a-fA-F]", "0-9a-fA-F" },
        { 'H', "[^0-9a-fA-F]", NULL },
    };
    if (t->at == t->end) return refuse(t, "a backslash at the end");
    char letter = *t->at++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].letter != letter) continue;
        const char *text = t->set ? known[i].inside : known[i].outside;
        char what[32] = "\\? inside [...]";
        what[1] = letter;
        if (!text) return refuse(t, what);
        mega_text_add(t->out, "%s", text);
        return MEGA_OK;
    }
    mega_text_add(t->out, "\\%c", letter);
    return MEGA_OK;
}

/* [:alpha:] and the like stay; other sets inside sets have no counterpart */
static mega_status translate_inside(struct translator *t, char c)
{
    if (c == ']' && t->set_begun) t->set = false;
    if (c == '&' && t->at < t->end && *t->at == '&') return refuse(t, "&& inside [...]");
    if (c == '[') {
        const char *close = t->at < t->end && *t->at == ':'
                                ? memmem(t->at + 1, (size_t)(t->end - t->at - 1), ":]", 2)
                                : NULL;
        if (!close) return refuse(t, "a set inside a set");
        mega_text_add_bytes(t->out, "[", 1);
        mega_text_add_bytes(t->out, t->at, (size_t)(close + 2 - t->at));
        t->at = close + 2;
    } else {
        mega_text_add_bytes(t->out, &c, 1);
    }
    t->set_begun = true;
    return MEGA_OK;
}

static void begin_set(struct translator *t)
{
    t->set = true;
    t->set_begun = false;
    mega_text_add(t->out, "[");
    if (t->at < t->end && *t->at == '^') {
        mega_text_add(t->out, "^");
        t->at++;
    }
}

/* }+ repeats there, here it would forbid going back */
static bool is_bound(const char *from, const char *p)
{
    while (p > from && ((p[-1] >= '0' && p[-1] <= '9') || p[-1] == ',')) p--;
    return p > from && p[-1] == '{';
}

mega_status mega_expression_translate(
    const char *where, const char *expression, size_t size, struct mega_text *out)
{
    struct translator t = {
        .where = where, .at = expression, .end = expression + size, .out = out
    };
    while (t.at < t.end) {
        char c = *t.at++;
        if (c == '\\') {
            MEGA_TRY(translate_escape(&t));
            t.set_begun = true;
        } else if (t.set) {
            MEGA_TRY(translate_inside(&t, c));
        } else if (c == '[') {
            begin_set(&t);
        } else if (c == '}' && t.at < t.end && *t.at == '+' && is_bound(expression, t.at - 1)) {
            return refuse(&t, "a bound that is repeated, {...}+,");
        } else {
            mega_text_add_bytes(out, &c, 1);
        }
    }
    return MEGA_OK;
}
