#include "base/option.h"

#include <string.h>

#include "base/text.h"

const struct mega_option *mega_option_find(const struct mega_option *table, const char *name)
{
    for (const struct mega_option *o = table; o->name; o++)
        if (!strcmp(o->name, name)) return o;
    return NULL;
}

const char *mega_option_nearest(const struct mega_option *table, const char *name)
{
    const char *nearest = NULL;
    for (const struct mega_option *o = table; o->name; o++)
        mega_text_nearer(&nearest, o->name, name);
    return nearest;
}

int mega_choice_name(const char *choices, int n, char *out, size_t size)
{
    for (; n > 0; n--) {
        choices = strchr(choices, '|');
        if (!choices) return -1;
        choices++;
    }
    size_t length = strcspn(choices, "|");
    if (length >= size) length = size - 1;
    memcpy(out, choices, length);
    out[length] = 0;
    return (int)length;
}

int mega_choice_find(const char *choices, const char *word)
{
    char name[64];
    for (int i = 0; mega_choice_name(choices, i, name, sizeof name) >= 0; i++)
        if (!strcmp(name, word)) return i;
    return -1;
}
