/* Usage text, man pages, completion and the reference: all printed from the commands' tables.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

/* "--lr RATE" for one option */
static void flag(char *out, size_t size, const struct mega_option *o)
{
    char name[64];
    snprintf(name, sizeof name, "%s", o->name);
    for (char *p = name; *p; p++)
        if (*p == '_') *p = '-';
    const char *unit = o->type == MEGA_OPTION_BOOL ? ""
                       : o->unit                   ? o->unit
                       : o->choices                ? o->choices
                                                   : "VALUE";
    char letter[8] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(out, size, "%s--%s%s%s", letter, name, *unit ? " " : "", unit);
}

static bool shows_default(const struct mega_option *o)
{
    return o->fallback && *o->fallback && o->type != MEGA_OPTION_BOOL;
}

void mega_help_menu(FILE *to)
{
    fprintf(to,
        "mega %s: train, evaluate and run long-sequence models\n\nUsage: mega COMMAND ...\n\n",
        MEGA_VERSION);
    for (const struct mega_command *const *c = mega_commands; *c; c++)
        fprintf(to, "  %-14s %s\n", (*c)->name, (*c)->summary);
    fprintf(to,
        "\nmega help COMMAND tells more; mega help recipe lists the keys of a "
        "recipe,\nmega help variants what can be changed about the Transformer, mega help "
        "presets\nthe known models that a recipe may start from.\n");
}

void mega_help_options(FILE *to, const struct mega_option *table)
{
    for (const struct mega_option *o = table; o && o->name; o++) {
        char text[160];
        flag(text, sizeof text, o);
        fprintf(to, "  %-26s %s%s", text,
            strlen(text) > 26 ? "\n                             " : "", o->help);
        if (shows_default(o)) fprintf(to, " (%s)", o->fallback);
        fprintf(to, "\n");
    }
}

void mega_help_usage(FILE *to, const struct mega_command *c)
{
    fprintf(to, "Usage: mega %s%s%s%s\n\n%s.\n", c->name, c->options ? " [OPTIONS]" : "",
        *c->words ? " " : "", c->words, c->summary);
    if (c->options) {
        fprintf(to, "\n");
        mega_help_options(to, c->options);
    }
    if (c->manual) fprintf(to, "\n%s\n", c->manual);
}

/* ---- man pages ---- */

/* text with what roff would take for commands made harmless */
void mega_help_roff(FILE *to, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) fputs("\\&", to);
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else
            fputc(*text, to);
        start = *text == '\n';
    }
}

static void roff_paragraphs(FILE *to, const char *text)
{
    while (text && *text) {
        const char *end = strstr(text, "\n\n");
        char *paragraph = end ? strndup(text, (size_t)(end - text)) : strdup(text);
        if (!paragraph) return;
        fputs(".PP\n", to);
        mega_help_roff(to, paragraph);
        fputs("\n", to);
        free(paragraph);
        text = end ? end + 2 : NULL;
    }
}

static void roff_options(FILE *to, const struct mega_option *table)
{
    for (const struct mega_option *o = table; o && o->name; o++) {
        char text[160];
        flag(text, sizeof text, o);
        fputs(".TP\n.B ", to);
        mega_help_roff(to, text);
        fputs("\n", to);
        mega_help_roff(to, o->help);
        if (shows_default(o)) {
            fputs(". Default: ", to);
            mega_help_roff(to, o->fallback);
        }
        fputs(".\n", to);
    }
}

static const char *const exit_statuses =
    "0: done. 1: failed, the message on standard error says what and where. 2: the command "
    "line is "
    "wrong. 75: ended early by SIGINT, SIGTERM, SIGUSR1 or a limit, everything is saved.";

static void man_program(FILE *to)
{
    fprintf(to,
        ".TH MEGA 1 \"\" \"mega %s\"\n.SH NAME\nmega \\- train, evaluate and run "
        "long\\-sequence models\n",
        MEGA_VERSION);
    fputs(".SH SYNOPSIS\n.B mega\n.I COMMAND\n[\\fIOPTIONS\\fR] ...\n.SH COMMANDS\n", to);
    for (const struct mega_command *const *c = mega_commands; *c; c++) {
        fprintf(to, ".TP\n.B mega %s\n", (*c)->name);
        mega_help_roff(to, (*c)->summary);
        fputs("\n", to);
    }
    fputs(".SH EXIT STATUS\n", to);
    mega_help_roff(to, exit_statuses);
    fputs("\n.SH ENVIRONMENT\n.TP\n.B MEGA_THREADS\nthreads to use\n.TP\n.B MEGA_ISA\nbest "
          "instruction set to use: base, avx2, "
          "avx512\n.TP\n.B MEGA_ROOMS\nrooms of kernels to use (cpu; none: plain "
          "references)\n.TP\n.B MEGA_TILE\nrows of the kernels' blocks, for tests\n.TP\n.B "
          "MEGA_LOG\n"
          "dispatch: say which kernel was chosen and why others refused\n",
        to);
}

void mega_help_man(FILE *to, const struct mega_command *c)
{
    if (!c) {
        man_program(to);
        return;
    }
    char dashed[64];
    snprintf(dashed, sizeof dashed, "%s", c->name);
    for (char *p = dashed; *p; p++)
        if (*p == ' ') *p = '-';
    fprintf(to, ".TH MEGA-%s 1 \"\" \"mega %s\"\n.SH NAME\nmega\\-%s \\- ", dashed,
        MEGA_VERSION, dashed);
    mega_help_roff(to, c->summary);
    fprintf(to, "\n.SH SYNOPSIS\n.B mega %s\n", c->name);
    if (c->options) fputs("[\\fIOPTIONS\\fR]\n", to);
    mega_help_roff(to, c->words);
    if (c->manual) {
        fputs("\n.SH DESCRIPTION\n", to);
        roff_paragraphs(to, c->manual);
    }
    if (c->options) {
        fputs("\n.SH OPTIONS\n", to);
        roff_options(to, c->options);
    }
    fputs(".SH EXIT STATUS\n", to);
    mega_help_roff(to, exit_statuses);
    fputs("\n.SH SEE ALSO\n.BR mega (1)\n", to);
}

/* ---- the reference in Markdown ---- */

void mega_help_markdown(FILE *to)
{
    fprintf(
        to, "# Commands\n\nPrinted from the program's own tables by `mega help --markdown`.\n");
    for (const struct mega_command *const *each = mega_commands; *each; each++) {
        const struct mega_command *c = *each;
        fprintf(to, "\n## mega %s\n\n%s.\n\n    mega %s%s%s%s\n", c->name, c->summary, c->name,
            c->options ? " [OPTIONS]" : "", *c->words ? " " : "", c->words);
        if (c->options) fputs("\n| option | meaning | default |\n|---|---|---|\n", to);
        for (const struct mega_option *o = c->options; o && o->name; o++) {
            char text[160];
            flag(text, sizeof text, o);
            fputs("| `", to);
            for (const char *p = text; *p; p++) fprintf(to, *p == '|' ? "\\|" : "%c", *p);
            fprintf(to, "` | %s | %s |\n", o->help, shows_default(o) ? o->fallback : "");
        }
        if (c->manual) fprintf(to, "\n%s\n", c->manual);
    }
    fprintf(to, "\n## Exit status\n\n%s\n", exit_statuses);
}

/* ---- completion ---- */

static void bash(FILE *to)
{
    fputs("# bash completion of mega, printed by: mega help --completion bash\n_mega() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} command=\"${COMP_WORDS[1]} "
          "${COMP_WORDS[2]}\" options=\n"
          "    if [[ $COMP_CWORD == 1 ]]; then\n        COMPREPLY=($(compgen -W '",
        to);
    for (const struct mega_command *const *c = mega_commands; *c; c++)
        fprintf(to, "%.*s ", (int)strcspn((*c)->name, " "), (*c)->name);
    fputs("' -- \"$word\"))\n        return\n    fi\n    case $command in\n", to);
    for (const struct mega_command *const *c = mega_commands; *c; c++) {
        fprintf(to, "    '%s'%s) options='", (*c)->name, strchr((*c)->name, ' ') ? "" : "\\ *");
        for (const struct mega_option *o = (*c)->options; o && o->name; o++) {
            char text[160];
            flag(text, sizeof text, o);
            char *start = strstr(text, "--");
            fprintf(to, "%.*s ", (int)strcspn(start, " "), start);
        }
        fputs("' ;;\n", to);
    }
    fputs("    esac\n    if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W "
          "\"$options\" -- \"$word\"))\n    else\n"
          "        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\ncomplete -o filenames -F "
          "_mega mega\n",
        to);
}

int mega_help_completion(FILE *to, const char *shell)
{
    if (strcmp(shell, "bash") != 0) {
        fprintf(stderr, "mega: no completion for '%s', expected bash\n", shell);
        return MEGA_EXIT_USAGE;
    }
    bash(to);
    return MEGA_EXIT_OK;
}
