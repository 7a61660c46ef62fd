#include "cli/recipe_help.h"

#include <string.h>

#include "train/recipe.h"

static void key(FILE *to, const struct mega_option *o, bool markdown)
{
    const char *fallback = o->fallback ? o->fallback : "(required)";
    if (!markdown) {
        fprintf(to, "  %-20s %-12s %s%s%s\n", o->name, *fallback ? fallback : "\"\"", o->help,
            o->choices ? ": " : "", o->choices ? o->choices : "");
        return;
    }
    fprintf(to, "| `%s` | %s | %s", o->name, *fallback ? fallback : "", o->help);
    if (o->choices) fputs(": ", to);
    for (const char *p = o->choices ? o->choices : ""; *p; p++)
        fprintf(to, *p == '|' ? ", " : "%c", *p);
    fputs(" |\n", to);
}

static void heading(FILE *to, const char *section, bool markdown)
{
    const char *name = *section ? section : "top level";
    if (markdown)
        fprintf(to, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", name);
    else
        fprintf(to, "\n%s%s\n", name, *section ? ":" : "");
}

void mega_help_recipe(FILE *to, bool markdown)
{
    fputs(markdown ? "# Recipes\n\nPrinted from the program's own tables by `mega help recipe "
                     "--markdown`. "
                   : "",
        to);
    fputs("A recipe is a YAML file (1.2, core schema) of these keys; all have defaults unless "
          "marked.\n",
        to);
    const char *last = NULL;
    for (const struct mega_recipe_table *t = mega_recipe_tables; t->section; t++) {
        if (!last || strcmp(last, t->section) != 0) heading(to, t->section, markdown);
        last = t->section;
        for (const struct mega_option *o = t->options; o->name; o++) key(to, o, markdown);
        if (t->options != mega_encoder_options) continue;
        for (const struct mega_mixer *const *m = mega_mixers; *m; m++)
            for (const struct mega_option *o = (*m)->options; o->name; o++)
                key(to, o, markdown);
    }
}
