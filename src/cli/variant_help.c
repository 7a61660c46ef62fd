#include "cli/variant_help.h"

#include <string.h>

#include "cli/command.h"
#include "model/decoder.h"
#include "model/variants.h"

/* the Transformer's options: every entry's stand there */
static const struct mega_option *table(void)
{
    const struct mega_decoder_type *const *d = mega_decoders;
    while (*d && strcmp((*d)->name, "transformer") != 0) d++;
    return (*d)->options;
}

static const char *fallback_of(const char *option)
{
    const struct mega_option *o = mega_option_find(table(), option);
    return o && o->fallback ? o->fallback : "";
}

/* "none", or "none, softmax" where it takes several settings */
static void defaults_of(const struct mega_variant *v, char *out, size_t size)
{
    char name[64], value[64];
    size_t n = 0;
    *out = 0;
    for (int i = 0; mega_variant_setting(v, i, name, value) && n < size; i++) {
        const char *fallback = fallback_of(name);
        n += (size_t)snprintf(
            out + n, size - n, "%s%s", i ? ", " : "", *fallback ? fallback : "\"\"");
    }
}

/* "rel_pos: alibi", as it stands in a recipe */
static void as_recipe(const struct mega_variant *v, char *out, size_t size)
{
    char name[64], value[64];
    size_t n = 0;
    *out = 0;
    for (int i = 0; mega_variant_setting(v, i, name, value) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s: %s", i ? ", " : "", name, value);
}

static void each(FILE *to, void (*print)(FILE *to, const struct mega_variant *v))
{
    for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
        for (const struct mega_variant *v = *g; v->name; v++) print(to, v);
}

/* ---- in a terminal ---- */

static void line(FILE *to, const struct mega_variant *v)
{
    char defaults[128];
    defaults_of(v, defaults, sizeof defaults);
    fprintf(to, "%-22s %-30s %-9.9s %-9s %-11s %s\n", v->name, v->options, defaults, v->slot,
        *v->executor ? v->executor : "-", v->title);
}

void mega_help_variants(FILE *to)
{
    fputs("Variants of the Transformer (decoder: transformer). mega help variants NAME tells "
          "all of one.\n\n",
        to);
    fprintf(to, "%-22s %-30s %-9s %-9s %-11s %s\n", "variant", "option=value", "default",
        "slot", "attention", "what it is");
    each(to, line);
}

/* text with every line indented */
static void indented(FILE *to, const char *heading, const char *text)
{
    if (!*text) return;
    fprintf(to, "\n%s\n  ", heading);
    for (; *text; text++) fprintf(to, *text == '\n' ? "\n  " : "%c", *text);
    fputc('\n', to);
}

/* the options of "a|b", or those that turn it on */
static void option_lines(FILE *to, const struct mega_variant *v)
{
    char name[64], value[64];
    for (int i = 0; mega_variant_setting(v, i, name, value); i++) {
        const struct mega_option *o = mega_option_find(table(), name);
        if (o) fprintf(to, "  %-28s %-10s %s\n", o->name, o->fallback, o->help);
    }
    for (int i = 0; v->more && mega_choice_name(v->more, i, name, sizeof name) > 0; i++) {
        const struct mega_option *o = mega_option_find(table(), name);
        if (o) fprintf(to, "  %-28s %-10s %s\n", o->name, o->fallback, o->help);
    }
}

int mega_help_variant(FILE *to, const char *name)
{
    const struct mega_variant *v = mega_variant_find(name);
    char recipe[160];
    if (!v) {
        const char *near = mega_variant_nearest(name);
        fprintf(stderr, "mega: no variant '%s'%s%s: mega help variants lists them\n", name,
            near ? ", the nearest is " : "", near ? near : "");
        return MEGA_EXIT_USAGE;
    }
    as_recipe(v, recipe, sizeof recipe);
    fprintf(to, "%s: %s\n\n  model: { decoder: transformer, %s }\n", v->name, v->title, recipe);
    fprintf(to, "\n  slot %s", v->slot);
    if (*v->executor) fprintf(to, ", computed by %s", v->executor);
    if (*v->paper) fprintf(to, "; paper %s", v->paper);
    fputs("\n\nOptions (default)\n", to);
    option_lines(to, v);
    indented(to, "Mathematics", v->mathematics);
    indented(to, "Parameters", *v->adds ? v->adds : "none");
    indented(to, "Cost", v->cost);
    indented(to, "Mind", v->pitfalls);
    indented(to, "Not with", v->conflicts);
    return MEGA_EXIT_OK;
}

/* ---- in Markdown ---- */

/* a cell of a table: '|' would end it, '*' and '_' could turn into emphasis */
static void cell(FILE *to, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            fputs("<br>", to);
        else
            fprintf(to, strchr("|*_<", *text) ? "\\%c" : "%c", *text);
}

static void row(FILE *to, const struct mega_variant *v)
{
    char defaults[128];
    defaults_of(v, defaults, sizeof defaults);
    fprintf(to, "| [%s](#%s) | `%s` | ", v->title, v->name, v->options);
    cell(to, defaults);
    fprintf(to, " | %s | ", v->slot);
    cell(to, *v->adds ? v->adds : "none");
    fputs(" | ", to);
    cell(to, v->cost);
    fprintf(to, " | %s |\n", *v->executor ? v->executor : "-");
}

static void section(FILE *to, const struct mega_variant *v)
{
    char recipe[160], name[64];
    as_recipe(v, recipe, sizeof recipe);
    fprintf(to, "\n### %s\n\n%s%s%s%s. `%s`\n", v->name, v->title, *v->paper ? " (" : "",
        v->paper, *v->paper ? ")" : "", recipe);
    for (int i = 0; v->more && mega_choice_name(v->more, i, name, sizeof name) > 0; i++)
        fprintf(to, "%s`%s`", i ? ", " : "\nWith it: ", name);
    fputs(v->more ? ".\n\n    " : "\n    ", to);
    for (const char *p = v->mathematics; *p; p++) fprintf(to, *p == '\n' ? "\n    " : "%c", *p);
    fputs("\n", to);
    if (*v->pitfalls) fprintf(to, "\n%s\n", v->pitfalls);
    if (*v->conflicts) fprintf(to, "\nNot with: %s.\n", v->conflicts);
}

void mega_help_variants_markdown(FILE *to)
{
    fputs("# Variants of the Transformer\n\nPrinted from the program's own catalogue by `mega "
          "help variants --markdown`. Each stands in one slot of the data flow "
          "([why](../adr/0007-seams-of-the-transformer.md)); how to try them is in "
          "[variants.md](../variants.md). Sizes: D width, H heads, G heads of keys and values, "
          "d and dv channels of a head, F feed-forward width, V vocabulary, L layers, T "
          "places.\n\n| variant | option=value | default | slot | parameters added | cost | "
          "attention by |\n|---|---|---|---|---|---|---|\n",
        to);
    each(to, row);
    fputs("\n## Each by itself\n", to);
    each(to, section);
}

/* ---- as a man page ---- */

static void man_entry(FILE *to, const struct mega_variant *v)
{
    char recipe[160];
    as_recipe(v, recipe, sizeof recipe);
    fputs(".SS ", to);
    mega_help_roff(to, v->name);
    fputs("\n", to);
    const char *const part[] = { v->title, recipe, v->mathematics, v->adds, v->pitfalls };
    static const char *const heading[] = { "", "Recipe: ", "", "Parameters: ", "" };
    for (int i = 0; i < 5; i++) {
        if (!*part[i]) continue;
        fputs(i ? ".PP\n" : "", to);
        mega_help_roff(to, heading[i]);
        mega_help_roff(to, part[i]);
        fputs("\n", to);
    }
    if (!*v->conflicts) return;
    fputs(".PP\nNot with: ", to);
    mega_help_roff(to, v->conflicts);
    fputs(".\n", to);
}

void mega_help_variants_man(FILE *to)
{
    fprintf(to,
        ".TH MEGA-VARIANTS 7 \"\" \"mega %s\"\n.SH NAME\nmega\\-variants \\- variants of the "
        "Transformer\n.SH DESCRIPTION\nKeys of the section model of a recipe with decoder: "
        "transformer; see\n.BR mega-train (1)\nand\n.BR mega-help (1).\n.SH VARIANTS\n",
        MEGA_VERSION);
    each(to, man_entry);
    fputs(".SH SEE ALSO\n.BR mega (1)\n", to);
}
