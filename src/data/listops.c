#include "data/listops.h"

#include <stdlib.h>
#include <string.h>

enum operator{ FIRST, LAST, MIN, MAX, MED, SM };

static const struct {
    const char *word;
    enum operator operator;
    int32_t id;
} words[] = { { "[MIN", MIN, MEGA_LISTOPS_MIN }, { "[MAX", MAX, MEGA_LISTOPS_MAX },
    { "[MED", MED, MEGA_LISTOPS_MED }, { "[SM", SM, MEGA_LISTOPS_SM },
    { "[FIRST", FIRST, MEGA_LISTOPS_UNKNOWN }, { "[LAST", LAST, MEGA_LISTOPS_UNKNOWN } };
enum { WORDS = sizeof words / sizeof *words };

/* an open operator: what its arguments were so far; all values are digits, so a count of each
 * is all that a median needs */
struct frame {
    enum operator operator;
    int64_t n, count[10];
    int first, last;
};

struct evaluation {
    struct frame *frame;
    int64_t depth, room;
    int value; /* of the whole tree, -1 before it is complete */
};

static bool open_operator(struct evaluation *e, enum operator operator)
{
    if (e->depth == e->room) {
        int64_t room = e->room ? 2 * e->room : 16;
        struct frame *frame = realloc(e->frame, (size_t)room * sizeof *frame);
        if (!frame) return false;
        e->frame = frame;
        e->room = room;
    }
    e->frame[e->depth++] = (struct frame){ .operator= operator};
    return true;
}

/* the smallest digit with more than `below` arguments at or under it */
static int ranked(const struct frame *f, int64_t below)
{
    int64_t seen = 0;
    for (int d = 0; d < 10; d++)
        if ((seen += f->count[d]) > below) return d;
    return 9;
}

static int result(const struct frame *f)
{
    int64_t sum = 0;
    switch (f->operator) {
    case FIRST: return f->first;
    case LAST: return f->last;
    case MIN: return ranked(f, 0);
    case MAX: return ranked(f, f->n - 1);
    case MED: return (ranked(f, (f->n - 1) / 2) + ranked(f, f->n / 2)) / 2;
    case SM:
        for (int d = 0; d < 10; d++) sum += d * f->count[d];
        return (int)(sum % 10);
    }
    return 0;
}

static void take(struct evaluation *e, int value)
{
    if (!e->depth) {
        e->value = value;
        return;
    }
    struct frame *f = &e->frame[e->depth - 1];
    if (!f->n) f->first = value;
    f->last = value;
    f->n++;
    f->count[value]++;
}

static void close_operator(struct evaluation *e)
{
    int value = result(&e->frame[--e->depth]);
    take(e, value);
}

/* ---- reading ---- */

void mega_listops_done(struct mega_listops *t)
{
    free(t->id);
    *t = (struct mega_listops){ 0 };
}

static mega_status push(struct mega_listops *t, const char *where, int32_t id)
{
    if (t->n == t->room) {
        int64_t room = t->room ? 2 * t->room : 256;
        int32_t *more = realloc(t->id, (size_t)room * sizeof *more);
        if (!more) return mega_fail(MEGA_NO_MEMORY, "%sno memory for a tree", where);
        t->id = more;
        t->room = room;
    }
    t->id[t->n++] = id;
    return MEGA_OK;
}

static mega_status read_operator(
    struct mega_listops *t, struct evaluation *e, const char *where, const char *word, size_t n)
{
    for (int i = 0; i < WORDS; i++) {
        if (strlen(words[i].word) != n || memcmp(words[i].word, word, n) != 0) continue;
        if (!open_operator(e, words[i].operator))
            return mega_fail(MEGA_NO_MEMORY, "%sno memory for a tree", where);
        return push(t, where, words[i].id);
    }
    return mega_fail(MEGA_BAD_FILE,
        "%s'%.*s' is not a token of ListOps, expected a digit, [MIN, [MAX, [MED, [SM, ] or "
        "brackets",
        where, (int)(n < 40 ? n : 40), word);
}

static mega_status read_word(
    struct mega_listops *t, struct evaluation *e, const char *where, const char *word, size_t n)
{
    if (e->value >= 0)
        return mega_fail(MEGA_BAD_FILE, "%s'%.*s' after the end of the tree", where,
            (int)(n < 40 ? n : 40), word);
    if (n == 1 && *word >= '0' && *word <= '9') {
        take(e, *word - '0');
        return push(t, where, MEGA_LISTOPS_DIGIT + *word - '0');
    }
    if (n == 1 && *word == ']') {
        if (!e->depth) return mega_fail(MEGA_BAD_FILE, "%s']' closes nothing", where);
        if (!e->frame[e->depth - 1].n)
            return mega_fail(MEGA_BAD_FILE, "%san operator without arguments", where);
        close_operator(e);
        return push(t, where, MEGA_LISTOPS_CLOSE);
    }
    return read_operator(t, e, where, word, n);
}

static mega_status read_words(
    struct mega_listops *t, struct evaluation *e, const char *where, const char *text, size_t n)
{
    int64_t brackets = 0;
    for (size_t at = 0; at < n;) {
        size_t length = 0;
        while (at + length < n && text[at + length] != ' ') length++;
        const char *word = text + at;
        at += length ? length : 1;
        if (!length) continue;
        if (length == 1 && (*word == '(' || *word == ')')) {
            brackets += *word == '(' ? 1 : -1;
            if (brackets < 0) return mega_fail(MEGA_BAD_FILE, "%s')' closes nothing", where);
            continue;
        }
        MEGA_TRY(read_word(t, e, where, word, length));
    }
    if (e->depth)
        return mega_fail(MEGA_BAD_FILE,
            "%sthe tree ends with %lld operators still open, expected ]", where,
            (long long)e->depth);
    if (brackets)
        return mega_fail(MEGA_BAD_FILE,
            "%sthe tree ends with %lld brackets still open, expected )", where,
            (long long)brackets);
    if (e->value < 0)
        return mega_fail(MEGA_BAD_FILE, "%sno tree, expected a digit or an operator", where);
    return MEGA_OK;
}

mega_status mega_listops_parse(
    struct mega_listops *t, const char *where, const char *text, size_t n)
{
    struct evaluation e = { .value = -1 };
    t->n = 0;
    mega_status status = read_words(t, &e, where, text, n);
    t->value = e.value;
    free(e.frame);
    return status;
}

int mega_listops_value(const int32_t *id, int64_t n)
{
    static const enum operator operators[] = { MIN, MAX, MED, SM };
    struct evaluation e = { .value = -1 };
    for (int64_t i = 0; i < n; i++) {
        if (id[i] < MEGA_LISTOPS_MIN)
            take(&e, id[i] - MEGA_LISTOPS_DIGIT);
        else if (id[i] == MEGA_LISTOPS_CLOSE)
            close_operator(&e);
        else if (!open_operator(&e, operators[id[i] - MEGA_LISTOPS_MIN]))
            break;
    }
    free(e.frame);
    return e.value;
}

/* ---- printing ---- */

/* arguments of the operator at id[at]: what follows it on its own level */
static int64_t arguments(const int32_t *id, int64_t n, int64_t at)
{
    int64_t count = 0, depth = 0;
    for (int64_t i = at + 1; i < n; i++) {
        if (id[i] == MEGA_LISTOPS_CLOSE && depth-- == 0) return count;
        if (depth == 0 && id[i] != MEGA_LISTOPS_CLOSE) count++;
        if (id[i] >= MEGA_LISTOPS_MIN && id[i] != MEGA_LISTOPS_CLOSE) depth++;
    }
    return count;
}

static void put(struct mega_text *to, const char *word)
{
    mega_text_add_bytes(to, word, strlen(word));
}

/* every pairing of what stands so far with the next argument, and at last with ], is wrapped
 * once more */
void mega_listops_print(const int32_t *id, int64_t n, struct mega_text *to)
{
    int64_t depth = 0;
    for (int64_t i = 0; i < n; i++) {
        if (id[i] == MEGA_LISTOPS_CLOSE) {
            put(to, " ] )");
            depth--;
        } else if (i) {
            put(to, " ");
        }
        if (id[i] >= MEGA_LISTOPS_MIN && id[i] <= MEGA_LISTOPS_SM) {
            for (int64_t wraps = arguments(id, n, i) + 1; wraps > 0; wraps--) put(to, "( ");
            put(to, words[id[i] - MEGA_LISTOPS_MIN].word);
            depth++;
            continue;
        }
        if (id[i] < MEGA_LISTOPS_MIN)
            mega_text_add_bytes(to, &"0123456789"[id[i] - MEGA_LISTOPS_DIGIT], 1);
        if (depth) put(to, " )");
    }
}
