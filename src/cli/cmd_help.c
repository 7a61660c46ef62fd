/* mega help: the menu, a command, recipes, variants, presets; man pages, completion and the
 * reference for packagers. */
#include <stddef.h>

#include "cli/command.h"
#include "cli/preset_help.h"
#include "cli/recipe_help.h"
#include "cli/variant_help.h"

#include <string.h>

struct options {
    bool man, markdown;
    const char *completion;
};

static const struct mega_option options[] = {
    { "man", MEGA_OPTION_BOOL, offsetof(struct options, man), "false", 0, 0, NULL, NULL,
        "print a man page", 0 },
    { "markdown", MEGA_OPTION_BOOL, offsetof(struct options, markdown), "false", 0, 0, NULL,
        NULL, "print the reference of all commands, of recipes, variants or presets", 0 },
    { "completion", MEGA_OPTION_TEXT, offsetof(struct options, completion), "", 0, 0, NULL,
        "SHELL", "print completion for a shell (bash)", 0 },
    { 0 },
};

static int help_variants(const struct options *o, const char *name)
{
    if (name) return mega_help_variant(stdout, name);
    if (o->markdown)
        mega_help_variants_markdown(stdout);
    else if (o->man)
        mega_help_variants_man(stdout);
    else
        mega_help_variants(stdout);
    return MEGA_EXIT_OK;
}

static int help_presets(const struct options *o, const char *name)
{
    if (name) return mega_help_preset(stdout, name);
    if (o->man) {
        fputs("mega: presets have no page of the manual: mega help presets\n", stderr);
        return MEGA_EXIT_USAGE;
    }
    (o->markdown ? mega_help_presets_markdown : mega_help_presets)(stdout);
    return MEGA_EXIT_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    if (*o->completion) return mega_help_completion(stdout, o->completion);
    if (line->n_words == 0) {
        if (o->markdown)
            mega_help_markdown(stdout);
        else if (o->man)
            mega_help_man(stdout, NULL);
        else
            mega_help_menu(stdout);
        return MEGA_EXIT_OK;
    }
    if (!strcmp(line->word[0], "variants"))
        return help_variants(o, line->n_words > 1 ? line->word[1] : NULL);
    if (!strcmp(line->word[0], "presets"))
        return help_presets(o, line->n_words > 1 ? line->word[1] : NULL);
    char name[128];
    snprintf(name, sizeof name, "%.60s%s%.60s", line->word[0], line->n_words > 1 ? " " : "",
        line->n_words > 1 ? line->word[1] : "");
    if (!strcmp(name, "recipe")) {
        mega_help_recipe(stdout, o->markdown);
        return MEGA_EXIT_OK;
    }
    const struct mega_command *c = mega_command_find(name);
    if (!c) {
        fprintf(stderr, "mega: no help on '%s'\n", name);
        mega_help_menu(stderr);
        return MEGA_EXIT_USAGE;
    }
    if (o->man)
        mega_help_man(stdout, c);
    else
        mega_help_usage(stdout, c);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_help = {
    .name = "help",
    .summary =
        "Explain a command, the keys of a recipe, variants of the Transformer or presets",
    .words = "[COMMAND|recipe|variants [NAME]|presets [NAME]]",
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
