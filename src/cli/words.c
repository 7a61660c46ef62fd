#include "cli/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mega_words_add(struct mega_words *w, const char *format, ...)
{
    char *word;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&word, format, args);
    va_end(args);
    if (size < 0) {
        w->text.failed = true;
        return;
    }
    mega_text_add_bytes(&w->text, word, (size_t)size + 1);
    free(word);
    w->n++;
}

void mega_words_split(struct mega_words *w, const char *list)
{
    while (*list) {
        size_t size = strcspn(list, ",");
        if (size) mega_words_add(w, "%.*s", (int)size, list);
        list += size + (list[size] == ',');
    }
}

void mega_words_done(struct mega_words *w)
{
    mega_text_done(&w->text);
    w->n = 0;
}

const char *mega_words_first(const struct mega_words *w)
{
    return w->n ? w->text.data : NULL;
}

const char *mega_words_next(const struct mega_words *w, const char *word)
{
    word += strlen(word) + 1;
    return word < w->text.data + w->text.size ? word : NULL;
}

char **mega_words_argv(const struct mega_words *w)
{
    char **argv = w->text.failed ? NULL : calloc((size_t)w->n + 1, sizeof *argv);
    if (!argv) return NULL;
    char *at = w->text.data;
    for (int i = 0; i < w->n; i++, at += strlen(at) + 1) argv[i] = at;
    return argv;
}
