#include "format/option_json.h"

#include <string.h>

#include "format/node.h"

void mega_option_add_series(
    struct mega_text *to, const struct mega_option *o, const void *values)
{
    const char *field = (const char *)values + o->offset;
    const struct mega_ints *whole = (const void *)field;
    const struct mega_reals *real = (const void *)field;
    bool ints = o->type == MEGA_OPTION_INTS;
    int n = ints ? whole->n : real->n;
    if (n) mega_text_add(to, "[");
    for (int i = 0; i < (n ? n : 1); i++) {
        if (i) mega_text_add(to, ", ");
        if (ints)
            mega_text_add(to, "%lld", (long long)mega_ints_at(whole, i));
        else
            mega_json_add_real(to, mega_reals_at(real, i));
    }
    if (n) mega_text_add(to, "]");
}

static void add_value(struct mega_text *to, const struct mega_option *o, const void *values)
{
    const char *field = (const char *)values + o->offset;
    switch (o->type) {
    case MEGA_OPTION_INT:
        mega_text_add(to, "%lld", (long long)*(const int64_t *)(const void *)field);
        break;
    case MEGA_OPTION_REAL: mega_json_add_real(to, *(const double *)(const void *)field); break;
    case MEGA_OPTION_BOOL:
        mega_text_add(to, *(const bool *)(const void *)field ? "true" : "false");
        break;
    case MEGA_OPTION_TEXT: {
        const char *text = *(const char *const *)(const void *)field;
        mega_json_add_text(to, text ? text : "", text ? strlen(text) : 0);
        break;
    }
    case MEGA_OPTION_CHOICE: {
        char name[64];
        mega_choice_name(o->choices, *(const int *)(const void *)field, name, sizeof name);
        mega_json_add_text(to, name, strlen(name));
        break;
    }
    case MEGA_OPTION_INTS:
    case MEGA_OPTION_REALS: mega_option_add_series(to, o, values); break;
    case MEGA_OPTION_ALIAS: break;
    case MEGA_OPTION_TEXTS: {
        const struct mega_texts *list = (const void *)field;
        mega_text_add(to, "[");
        for (int i = 0; i < list->n; i++) {
            if (i) mega_text_add(to, ", ");
            mega_json_add_text(to, list->item[i], strlen(list->item[i]));
        }
        mega_text_add(to, "]");
        break;
    }
    }
}

void mega_option_add_json(struct mega_text *to, const struct mega_option *table,
    const void *values, int indent, bool more)
{
    for (const struct mega_option *o = table; o->name; o++) {
        if (o->type == MEGA_OPTION_ALIAS) continue;
        mega_text_add(to, "%s%*s", more ? ",\n" : "", indent, "");
        mega_json_add_text(to, o->name, strlen(o->name));
        mega_text_add(to, ": ");
        add_value(to, o, values);
        more = true;
    }
}

void mega_option_add_names(struct mega_text *to, const struct mega_option *table)
{
    for (const struct mega_option *o = table; o->name; o++)
        mega_text_add(to, "%s%s", to->size ? "|" : "", o->name);
}
