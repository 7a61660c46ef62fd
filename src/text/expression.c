/* Where the two differ: white space (PCRE2's also holds U+180E), word characters (PCRE2 leaves
 * marks out), \h (a hexadecimal digit, not a blank), names of scripts (PCRE2 takes what a
 * script borrows, too), sets inside sets, and repeated bounds, {1,3}+. */
#include "text/expression.h"

#include <stdbool.h>
#include <string.h>

/* outside of sets Oniguruma decides about Latin-1 by a table of its own, in which superscripts
 * and fractions are word characters */
#define WORD "[" MEGA_WORD_CLASS "\\xB2\\xB3\\xB9\\xBC-\\xBE]"
#define NO_WORD "[^" MEGA_WORD_CLASS "\\xB2\\xB3\\xB9\\xBC-\\xBE]"

struct translator {
    const char *where, *at, *end;
    struct mega_text *out;
    int set;        /* how many [ are open */
    bool set_begun; /* something stands in the set: a ] would end it */
};

static mega_status refuse(const struct translator *t, const char *what, size_t size)
{
    return mega_fail(MEGA_UNSUPPORTED, "%s: %.*s in a pattern is not supported", t->where,
        (int)(size < 60 ? size : 60), what);
}

static mega_status refuse_text(const struct translator *t, const char *what)
{
    return refuse(t, what, strlen(what));
}

/* ---- properties ---- */

static bool same(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((a[i] | 32) != (b[i] | 32)) return false;
    return !b[n];
}

/* what a name of a property or of a POSIX class says, as parts of a set; NULL: another name */
static const char *named(const char *name, size_t n)
{
    static const char *const known[][2] = { { "Alnum", "\\p{Alphabetic}\\p{Nd}" },
        { "Alpha", "\\p{Alphabetic}" }, { "Alphabetic", "\\p{Alphabetic}" },
        { "Blank", "\\p{Zs}\\t" }, { "Cntrl", "\\p{Cc}" }, { "Decimal_Number", "\\p{Nd}" },
        { "Digit", "\\p{Nd}" }, { "Emoji", "\\p{Emoji}" },
        { "Extended_Pictographic", "\\p{Extended_Pictographic}" }, { "Any", "\\p{Any}" },
        { "Emoji_Presentation", "\\p{Emoji_Presentation}" },
        { "Ideographic", "\\p{Ideographic}" }, { "Join_Control", "\\p{Join_Control}" },
        { "Letter", "\\p{L}" }, { "Lower", "\\p{Lowercase}" },
        { "Lowercase", "\\p{Lowercase}" }, { "Mark", "\\p{M}" }, { "Number", "\\p{N}" },
        { "Other", "\\p{C}" }, { "Punct", "\\p{P}\\p{S}" }, { "Punctuation", "\\p{P}" },
        { "Separator", "\\p{Z}" }, { "Space", "\\p{White_Space}" }, { "Symbol", "\\p{S}" },
        { "Upper", "\\p{Uppercase}" }, { "Uppercase", "\\p{Uppercase}" },
        { "White_Space", "\\p{White_Space}" }, { "Word", MEGA_WORD_CLASS },
        { "XDigit", "0-9a-fA-F" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (same(name, known[i][0], n)) return known[i][1];
    return NULL;
}

/* one \p{...} that can be turned around */
static bool is_single(const char *text)
{
    const char *close = strchr(text, '}');
    return !strncmp(text, "\\p{", 3) && close && !close[1];
}

static mega_status add_named(
    struct translator *t, const char *name, size_t n, const char *text, bool negated)
{
    if (!negated)
        mega_text_add(t->out, t->set ? "%s" : "[%s]", text);
    else if (!t->set)
        mega_text_add(t->out, "[^%s]", text);
    else if (is_single(text))
        mega_text_add(t->out, "\\P%s", text + 2);
    else
        return refuse(t, name, n);
    return MEGA_OK;
}

/* after \p or \P: {Name}, {^Name}. Short names are categories; long ones that are not known
 * here are scripts. */
static mega_status translate_property(struct translator *t, char letter)
{
    const char *close =
        t->at < t->end && *t->at == '{' ? memchr(t->at, '}', (size_t)(t->end - t->at)) : NULL;
    bool negated = letter == 'P';
    if (!close) return refuse_text(t, "\\p without {...}");
    const char *name = t->at + 1;
    if (name < close && *name == '^') {
        negated = !negated;
        name++;
    }
    size_t n = (size_t)(close - name);
    const char *text = named(name, n);
    t->at = close + 1;
    if (text) return add_named(t, name, n, text, negated);
    mega_text_add(
        t->out, "\\%c{%s%.*s}", negated ? 'P' : 'p', n > 2 ? "sc:" : "", (int)n, name);
    return MEGA_OK;
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
        { 'W', NO_WORD, NULL },
        { 'b', "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))", "\\b" },
        { 'B', "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))", NULL },
        { 'h', "[0-9a-fA-F]", "0-9a-fA-F" },
        { 'H', "[^0-9a-fA-F]", NULL },
    };
    if (t->at == t->end) return refuse_text(t, "a backslash at the end");
    char letter = *t->at++;
    if (letter == 'p' || letter == 'P') return translate_property(t, letter);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].letter != letter) continue;
        const char *text = t->set ? known[i].inside : known[i].outside;
        char what[32] = "\\? inside [...]";
        what[1] = letter;
        if (!text) return refuse_text(t, what);
        mega_text_add(t->out, "%s", text);
        return MEGA_OK;
    }
    mega_text_add(t->out, "\\%c", letter);
    return MEGA_OK;
}

/* ---- sets ---- */

/* [:alpha:], [:^alpha:] */
static mega_status translate_class(struct translator *t, const char *close)
{
    const char *name = t->at + 1;
    bool negated = *name == '^';
    name += negated;
    size_t n = (size_t)(close - name);
    const char *text = named(name, n);
    if (!text) return refuse(t, t->at, (size_t)(close + 1 - t->at));
    t->at = close + 2;
    return add_named(t, name, n, text, negated);
}

/* a set inside a set adds to it, so its brackets can go, if it says what is in it */
static mega_status translate_inside(struct translator *t, char c)
{
    if (c == ']' && t->set_begun) {
        if (!--t->set) mega_text_add(t->out, "]");
        return MEGA_OK;
    }
    if (c == '&' && t->at < t->end && *t->at == '&') return refuse_text(t, "&& inside [...]");
    bool begun = t->set_begun;
    t->set_begun = true;
    if (c != '[') {
        mega_text_add_bytes(t->out, &c, 1);
        return MEGA_OK;
    }
    const char *close = t->at < t->end && *t->at == ':'
                            ? memmem(t->at + 1, (size_t)(t->end - t->at - 1), ":]", 2)
                            : NULL;
    if (close) return translate_class(t, close);
    if (t->at < t->end && *t->at == '^') return refuse_text(t, "[^...] inside [...]");
    t->set++;
    t->set_begun = begun && t->at < t->end && *t->at != ']';
    return t->set_begun ? MEGA_OK : refuse_text(t, "[ at the start of a set");
}

static void begin_set(struct translator *t)
{
    t->set = 1;
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
            return refuse_text(&t, "a bound that is repeated, {...}+,");
        } else {
            mega_text_add_bytes(out, &c, 1);
        }
    }
    return MEGA_OK;
}
