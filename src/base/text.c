#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct mega_text *t, size_t more)
{
    if (t->failed) return false;
    if (t->size + more + 1 <= t->room) return true;
    size_t room = t->room ? t->room : 256;
    while (room < t->size + more + 1) room *= 2;
    char *data = realloc(t->data, room);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->room = room;
    return true;
}

void mega_text_add_bytes(struct mega_text *t, const void *bytes, size_t n)
{
    if (!make_room(t, n)) return;
    if (n) memcpy(t->data + t->size, bytes, n);
    t->size += n;
    t->data[t->size] = 0;
}

void mega_text_add(struct mega_text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && make_room(t, (size_t)n)) {
        vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
        t->size += (size_t)n;
    }
    va_end(again);
}

void mega_text_clear(struct mega_text *t)
{
    t->size = 0;
    if (t->data) t->data[0] = 0;
}

void mega_text_done(struct mega_text *t)
{
    free(t->data);
    *t = (struct mega_text){ 0 };
}

int mega_text_distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    int row[MOST + 1];
    int na = (int)strnlen(a, MOST), nb = (int)strnlen(b, MOST);
    for (int j = 0; j <= nb; j++) row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int up = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
            int best = up + 1 < row[j - 1] + 1 ? up + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
            diagonal = up;
        }
    }
    return row[nb];
}

void mega_text_nearer(const char **best, const char *other, const char *word)
{
    /* further away than half its letters is another word */
    int least = *best ? mega_text_distance(*best, word) : (int)strlen(word) / 2 + 1;
    if (mega_text_distance(other, word) < least) *best = other;
}
