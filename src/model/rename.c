#include "model/rename.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* the factor and summand of the number in a pattern; false: it has none */
static bool number_of(const char *pattern, int64_t *factor, int64_t *summand, size_t *length)
{
    static const struct {
        const char *text;
        int64_t factor, summand;
    } forms[] = { { "{i}", 1, 0 }, { "{i+1}", 1, 1 }, { "{2i}", 2, 0 }, { "{2i+1}", 2, 1 } };
    const char *at = strchr(pattern, '{');
    for (size_t i = 0; at && i < sizeof forms / sizeof *forms; i++) {
        *length = strlen(forms[i].text);
        if (strncmp(at, forms[i].text, *length) != 0) continue;
        *factor = forms[i].factor;
        *summand = forms[i].summand;
        return true;
    }
    return false;
}

/* the digits at `text`, as they are written without leading zeros; NULL: none */
static const char *read_number(const char *text, int64_t *value)
{
    enum { DIGITS = 9 };
    const char *p = text;
    for (*value = 0; *p >= '0' && *p <= '9' && p - text <= DIGITS; p++)
        *value = 10 * *value + (*p - '0');
    bool plain = p > text && p - text <= DIGITS && (*text != '0' || p - text == 1);
    return plain ? p : NULL;
}

/* *i: the number, 0 where the pattern has none */
static bool matches(const char *pattern, const char *name, int64_t *i)
{
    int64_t factor, summand, value;
    size_t length;
    *i = 0;
    if (!number_of(pattern, &factor, &summand, &length)) return !strcmp(pattern, name);
    size_t before = (size_t)(strchr(pattern, '{') - pattern);
    if (strncmp(pattern, name, before) != 0) return false;
    const char *after = read_number(name + before, &value);
    if (!after || strcmp(after, pattern + before + length) != 0) return false;
    *i = (value - summand) / factor;
    return value >= summand && (value - summand) % factor == 0;
}

static void expand(const char *pattern, int64_t i, char name[MEGA_RENAME_NAME])
{
    int64_t factor, summand;
    size_t length;
    if (number_of(pattern, &factor, &summand, &length)) {
        int before = (int)(strchr(pattern, '{') - pattern);
        snprintf(name, MEGA_RENAME_NAME, "%.*s%lld%s", before, pattern,
            (long long)(factor * i + summand), pattern + before + length);
    } else {
        snprintf(name, MEGA_RENAME_NAME, "%s", pattern);
    }
}

/* stands for every tensor that is called as ours */
static const struct mega_rename same_name = { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 };

const struct mega_rename *mega_rename_theirs(const struct mega_name_table *t, const char *ours,
    const struct mega_rename *last, char theirs[MEGA_RENAME_NAME])
{
    for (const struct mega_rename *r = last ? last + 1 : t->name; last != &same_name && r->ours;
         r++) {
        int64_t i;
        if (r->how == MEGA_RENAME_SAME || !matches(r->ours, ours, &i)) continue;
        expand(r->theirs, i, theirs);
        return r;
    }
    if (last || !t->ours) return NULL;
    snprintf(theirs, MEGA_RENAME_NAME, "%s", ours);
    return &same_name;
}

const struct mega_rename *mega_rename_same(
    const struct mega_name_table *t, const char *theirs, char ours[MEGA_RENAME_NAME])
{
    for (const struct mega_rename *r = t->name; r->ours; r++) {
        int64_t i;
        if (r->how != MEGA_RENAME_SAME || !matches(r->theirs, theirs, &i)) continue;
        expand(r->ours, i, ours);
        return r;
    }
    return NULL;
}

/* ---- places ---- */

int mega_rename_shape(
    const struct mega_rename *r, int rank, const int64_t *ours, int64_t *theirs)
{
    int n = 0;
    bool last = r->how == MEGA_RENAME_LAST;
    for (int i = 0; i < rank - last; i++)
        if (r->how != MEGA_RENAME_FLAT || ours[i] != 1) theirs[n++] = ours[i];
    if (!last && r->parts) theirs[0] *= r->parts;
    if (r->how == MEGA_RENAME_TURNED && n == 2) {
        int64_t rows = theirs[0];
        theirs[0] = theirs[1];
        theirs[1] = rows;
    }
    return n;
}

struct mega_rename_place mega_rename_place(const struct mega_name_table *t,
    const struct mega_rename *r, const struct mega_rename_heads *heads, int64_t rows,
    int64_t columns)
{
    struct mega_rename_place p = { r, rows, columns, 0, heads->interleaved };
    if (t->interleaved == heads->interleaved) return p;
    if (r->how == MEGA_RENAME_QUERIES) p.head = rows / heads->heads;
    if (r->how == MEGA_RENAME_KEYS) p.head = rows / heads->kv_heads;
    return p;
}

/* Of a head of d rows, side by side pairs 2t and 2t + 1, in halves t and t + d/2. */
static int64_t other_row(const struct mega_rename_place *p, int64_t row)
{
    int64_t first = row / p->head * p->head, at = row - first, half = p->head / 2;
    return first + (p->side_by_side ? at % 2 * half + at / 2 : at % half * 2 + at / half);
}

int64_t mega_rename_index(const struct mega_rename_place *p, int64_t row, int64_t column)
{
    int64_t parts = p->rename->parts ? p->rename->parts : 1;
    if (p->rename->how == MEGA_RENAME_LAST) {
        int64_t all = row * p->columns + column;
        return all % parts == p->rename->part ? all / parts : -1;
    }
    if (p->head) row = other_row(p, row);
    row += p->rename->part * p->rows;
    return p->rename->how == MEGA_RENAME_TURNED ? column * p->rows * parts + row
                                                : row * p->columns + column;
}
