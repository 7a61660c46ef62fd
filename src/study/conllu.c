#include "study/conllu.h"

#include <stdlib.h>
#include <string.h>

#define RESERVE ((size_t)1 << 36)
enum { COLUMNS = 10, WORDS = 100000 };

/* One file being read. */
struct reading {
    struct mega_conllu *c;
    const char *name;
    int64_t line, room;
    struct mega_conllu_word *word; /* of the present sentence */
    int32_t n, word_room;
};

static mega_status refuse(const struct reading *r, const char *why)
{
    return mega_fail(MEGA_BAD_FILE, "%s:%lld: %s", r->name, (long long)r->line, why);
}

static mega_status no_memory(const struct reading *r)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for %s", r->name);
}

/* a field's text, kept; NULL: no memory */
static const char *keep(const struct reading *r, const char *at, size_t n)
{
    char *out = mega_arena_zeroed(&r->c->memory, n + 1);
    if (out) memcpy(out, at, n);
    return out;
}

/* columns of a line, at most `most`; returns how many there are */
static int split(const char *line, size_t n, const char *column[COLUMNS], size_t size[COLUMNS])
{
    int count = 0;
    for (const char *at = line, *end = line + n;;) {
        const char *stop = memchr(at, '\t', (size_t)(end - at));
        if (count < COLUMNS) {
            column[count] = at;
            size[count] = (size_t)((stop ? stop : end) - at);
        }
        count++;
        if (!stop) return count;
        at = stop + 1;
    }
}

/* a whole number of few digits, or -1 */
static int64_t number(const char *at, size_t n)
{
    int64_t value = 0;
    if (!n || n > 8) return -1;
    for (size_t i = 0; i < n; i++) {
        if (at[i] < '0' || at[i] > '9') return -1;
        value = 10 * value + (at[i] - '0');
    }
    return value;
}

static mega_status add_word(struct reading *r, const char *line, size_t n)
{
    const char *column[COLUMNS];
    size_t size[COLUMNS];
    if (split(line, n, column, size) != COLUMNS)
        return refuse(r, "expected 10 columns, separated by tabs");
    if (memchr(column[0], '-', size[0]) || memchr(column[0], '.', size[0])) return MEGA_OK;
    if (number(column[0], size[0]) != r->n + 1)
        return refuse(r, "words are not numbered 1, 2, 3 ...");
    int64_t head = number(column[6], size[6]);
    if (head < 0) return refuse(r, "the head (column 7) is no number of a word");
    if (!size[1]) return refuse(r, "the word (column 2) is empty");
    if (r->n == WORDS) return refuse(r, "a sentence of more than 100000 words");
    if (r->n == r->word_room) {
        int32_t room = r->word_room ? 2 * r->word_room : 64;
        struct mega_conllu_word *more = realloc(r->word, (size_t)room * sizeof *more);
        if (!more) return no_memory(r);
        r->word = more;
        r->word_room = room;
    }
    static const char joined[] = "SpaceAfter=No";
    bool space = true;
    for (size_t i = 0; i + sizeof joined - 1 <= size[9]; i++)
        space = space && memcmp(column[9] + i, joined, sizeof joined - 1) != 0;
    r->word[r->n++] = (struct mega_conllu_word){ keep(r, column[1], size[1]),
        keep(r, column[7], size[7]), (int32_t)head - 1, space };
    return r->word[r->n - 1].form && r->word[r->n - 1].relation ? MEGA_OK : no_memory(r);
}

static mega_status end_sentence(struct reading *r)
{
    struct mega_conllu *c = r->c;
    if (!r->n) return MEGA_OK;
    for (int32_t i = 0; i < r->n; i++)
        if (r->word[i].head >= r->n || r->word[i].head == i)
            return refuse(
                r, "a word of the sentence before depends on itself or on none of it");
    if (c->n == r->room) {
        int64_t room = r->room ? 2 * r->room : 64;
        struct mega_conllu_sentence *more = realloc(c->sentence, (size_t)room * sizeof *more);
        if (!more) return no_memory(r);
        c->sentence = more;
        r->room = room;
    }
    size_t bytes = (size_t)r->n * sizeof *r->word;
    struct mega_conllu_word *word = mega_arena_zeroed(&c->memory, bytes);
    if (!word) return no_memory(r);
    memcpy(word, r->word, bytes);
    c->sentence[c->n++] = (struct mega_conllu_sentence){ word, r->n };
    r->n = 0;
    return MEGA_OK;
}

mega_status mega_conllu_parse(
    struct mega_conllu *c, const char *name, const char *bytes, size_t n)
{
    struct reading r = { .c = c, .name = name };
    *c = (struct mega_conllu){ 0 };
    MEGA_TRY(mega_arena_init(&c->memory, RESERVE));
    mega_status status = MEGA_OK;
    for (const char *at = bytes, *end = bytes + n; at < end && !status;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        const char *next = at + size + 1;
        if (size && at[size - 1] == '\r') size--;
        r.line++;
        if (!size)
            status = end_sentence(&r);
        else if (*at != '#')
            status = add_word(&r, at, size);
        at = stop ? next : end;
    }
    if (!status) status = end_sentence(&r);
    if (!status && !c->n)
        status = mega_fail(MEGA_BAD_FILE, "%s holds no sentence in CoNLL-U", name);
    free(r.word);
    if (status) mega_conllu_done(c);
    return status;
}

void mega_conllu_done(struct mega_conllu *c)
{
    free(c->sentence);
    mega_arena_done(&c->memory);
    *c = (struct mega_conllu){ 0 };
}
