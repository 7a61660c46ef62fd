#include "format/tsv.h"

#include <string.h>

void mega_tsv_start(struct mega_tsv *t, const char *name, const void *bytes, size_t n)
{
    const char *data = bytes;
    if (n >= 3 && !memcmp(data, "\xEF\xBB\xBF", 3)) {
        data += 3;
        n -= 3;
    }
    *t = (struct mega_tsv){ .name = name, .at = data, .end = n ? data + n : data };
}

int mega_tsv_next(struct mega_tsv *t, struct mega_field *field, int most, int *n)
{
    if (t->at == t->end) return 0;
    const char *line = t->at, *end = memchr(line, '\n', (size_t)(t->end - line));
    t->at = end ? end + 1 : t->end;
    if (!end)
        end = t->end;
    else if (end > line && end[-1] == '\r')
        end--;
    t->line++;
    *n = 0;
    for (;;) {
        const char *tab = end > line ? memchr(line, '\t', (size_t)(end - line)) : NULL;
        if (*n < most)
            field[*n] = (struct mega_field){ line, (size_t)((tab ? tab : end) - line) };
        ++*n;
        if (!tab) return 1;
        line = tab + 1;
    }
}
