#include "cli/recipe_help.h"

#include <string.h>

#include "model/transformer_options.h"
#include "train/recipe.h"

/* another word for other keys */
static void alias(FILE *to, const struct mega_option *o, bool markdown)
{
    fprintf(to, markdown ? "| `%s` | | means " : "  %-20s means %s", o->name, o->choices);
    if (markdown)
        for (const char *p = o->choices; *p; p++) fprintf(to, *p == '|' ? ", " : "%c", *p);
    if (o->unit) fprintf(to, "%sfalse: %s", *o->choices ? "; " : "", o->unit);
    fputs(markdown ? " |\n" : "\n", to);
}

static void key(FILE *to, const struct mega_option *o, bool markdown)
{
    if (o->type == MEGA_OPTION_ALIAS) {
        alias(to, o, markdown);
        return;
    }
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

static void keys(FILE *to, const struct mega_option *o, bool markdown)
{
    for (; o->name; o++) key(to, o, markdown);
}

static void heading(FILE *to, const char *section, bool markdown)
{
    const char *name = *section ? section : "top level";
    if (markdown)
        fprintf(to, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", name);
    else
        fprintf(to, "\n%s%s\n", name, *section ? ":" : "");
}

/* keys of a section that only go with one value of another key */
static void some_keys(FILE *to, const char *section, const char *with, const char *name,
    const struct mega_option *const table[], int n, bool markdown)
{
    if (markdown)
        fprintf(to, "\n### %s, with %s %s\n\n| key | default | meaning |\n|---|---|---|\n",
            section, with, name);
    else
        fprintf(to, "\n%s, with %s: %s\n", section, with, name);
    for (int i = 0; i < n; i++) keys(to, table[i], markdown);
}

static void task_keys(FILE *to, bool markdown)
{
    const struct mega_option *table[] = { mega_language_options, mega_corpus_options };
    const struct mega_option *masks[] = { mega_masking_options };
    some_keys(to, "task", "name", "lm or masked_lm", table, 2, markdown);
    some_keys(to, "task", "name", "masked_lm", masks, 1, markdown);
}

static void model_keys(FILE *to, bool markdown)
{
    for (const struct mega_mixer *const *m = mega_mixers; *m; m++)
        some_keys(to, "model", "mixer", (*m)->name, &(*m)->options, 1, markdown);
    const struct mega_option *encoder = mega_transformer_encoder_table,
                             *masked = mega_masked_model_options;
    some_keys(to, "model", "task masked_lm and", "the keys below", &masked, 1, markdown);
    some_keys(to, "model", "task masked_lm or encoder", "transformer", &encoder, 1, markdown);
    for (const struct mega_decoder_type *const *d = mega_decoders; *d; d++) {
        const struct mega_option *table[] = { mega_language_model_options, (*d)->options };
        some_keys(to, "model", "task lm and decoder", (*d)->name, table, 2, markdown);
    }
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
        keys(to, t->options, markdown);
        bool ends = !t[1].section || strcmp(t[1].section, t->section) != 0;
        if (ends && !strcmp(t->section, "task")) task_keys(to, markdown);
        if (ends && !strcmp(t->section, "model")) model_keys(to, markdown);
    }
}
