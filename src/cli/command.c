#include "cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"

#define X(name) extern const struct mega_command mega_command_##name;
#include "cli/commands.def"
#undef X

#define X(name) &mega_command_##name,
const struct mega_command *const mega_commands[] = {
#include "cli/commands.def"
    NULL,
};
#undef X

/* the names agree, blanks and dashes being alike, over the whole of `name` */
static bool same_name(const char *name, const char *other)
{
    for (; *name && *other; name++, other++)
        if (*name != *other &&
            !((*name == ' ' || *name == '-') && (*other == ' ' || *other == '-')))
            return false;
    return *name == *other;
}

const struct mega_command *mega_command_find(const char *name)
{
    for (const struct mega_command *const *c = mega_commands; *c; c++)
        if (same_name((*c)->name, name)) return *c;
    return NULL;
}

int mega_command_fail(mega_status status)
{
    fprintf(stderr, "mega: %s\n", mega_message());
    if (status == MEGA_STOPPED) return MEGA_EXIT_STOPPED;
    return MEGA_EXIT_FAILED;
}

int mega_command_finish(int status)
{
    /* close, not only flush: some file systems report a full disk there */
    bool failed = ferror(stdout);
    errno = 0;
    if (fclose(stdout)) failed = true;
    if (!failed) return status;
    fprintf(stderr, "mega: cannot write standard output%s%s\n", errno ? ": " : "",
        errno ? strerror(errno) : "");
    return status ? status : MEGA_EXIT_FAILED;
}

void mega_command_log(void *arg, enum mega_log_level level, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s%s\n",
        level == MEGA_LOG_WARN       ? "mega: warning: "
        : level == MEGA_LOG_DISPATCH ? "dispatch: "
                                     : "",
        line);
}

/* ---- parsing ---- */

struct parser {
    const struct mega_command *command;
    char **argv;
    int argc, at;
    void *values;
    const char **word;
    int n_words;
};

static int usage_error(const struct mega_command *c)
{
    fprintf(stderr, "mega: %s\nTry: mega help%s%s\n", mega_message(), c ? " " : "",
        c ? c->name : "");
    return MEGA_EXIT_USAGE;
}

static const struct mega_option *find_flag(
    const struct mega_command *c, const char *flag, size_t length)
{
    for (const struct mega_option *o = c->options; o && o->name; o++) {
        size_t n = strlen(o->name), i = 0;
        while (i < n && i < length &&
               (o->name[i] == flag[i] || (o->name[i] == '_' && flag[i] == '-')))
            i++;
        if (i == n && n == length) return o;
    }
    return NULL;
}

static mega_status append(struct mega_texts *list, const char *text)
{
    const char **item = realloc(list->item, (size_t)(list->n + 1) * sizeof *item);
    if (!item) return mega_fail(MEGA_NO_MEMORY, "no memory for the command line");
    list->item = item;
    item[list->n++] = text;
    return MEGA_OK;
}

static mega_status set_flag(
    struct parser *p, const struct mega_option *o, const char *shown, const char *value)
{
    if (o->type == MEGA_OPTION_BOOL && !value) {
        *(bool *)(void *)((char *)p->values + o->offset) = true;
        return MEGA_OK;
    }
    if (!value) {
        if (p->at >= p->argc)
            return mega_fail(MEGA_BAD_ARGUMENT, "%s needs a value: %s", shown, o->help);
        value = p->argv[p->at++];
    }
    if (o->type == MEGA_OPTION_TEXTS)
        return append((struct mega_texts *)(void *)((char *)p->values + o->offset), value);
    return mega_option_parse(o, shown, value, p->values);
}

static mega_status parse_long(struct parser *p, const char *arg)
{
    const char *name = arg + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct mega_option *o = find_flag(p->command, name, length);
    if (o) return set_flag(p, o, arg, equals ? equals + 1 : NULL);
    char bare[128];
    snprintf(bare, sizeof bare, "%.*s", (int)(length < 100 ? length : 100), name);
    const char *near =
        p->command->options ? mega_option_nearest(p->command->options, bare) : NULL;
    return mega_fail(MEGA_BAD_ARGUMENT, "unknown option --%s%s%s%s", bare,
        near ? ", did you mean --" : "", near ? near : "", near ? "?" : "");
}

static mega_status parse_short(struct parser *p, const char *arg)
{
    for (const struct mega_option *o = p->command->options; o && o->name; o++)
        if (o->letter && o->letter == arg[1])
            return set_flag(p, o, arg, arg[2] ? arg + 2 : NULL);
    return mega_fail(MEGA_BAD_ARGUMENT, "unknown option %s", arg);
}

static mega_status parse(struct parser *p)
{
    bool only_words = false;
    while (p->at < p->argc) {
        const char *arg = p->argv[p->at++];
        if (!only_words && !strcmp(arg, "--")) {
            only_words = true;
        } else if (!only_words && !strncmp(arg, "--", 2)) {
            MEGA_TRY(parse_long(p, arg));
        } else if (!only_words && arg[0] == '-' && arg[1]) {
            MEGA_TRY(parse_short(p, arg));
        } else {
            p->word[p->n_words++] = arg;
        }
    }
    const struct mega_command *c = p->command;
    if (p->n_words < c->least)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s needs %s", c->name, c->words);
    if (c->most >= 0 && p->n_words > c->most)
        return mega_fail(MEGA_BAD_ARGUMENT, "unexpected word '%s': %s takes %s",
            p->word[c->most], c->name, c->words[0] ? c->words : "no words");
    return MEGA_OK;
}

static void free_lists(const struct mega_option *table, void *values)
{
    for (const struct mega_option *o = table; o && o->name; o++)
        if (o->type == MEGA_OPTION_TEXTS)
            free(((struct mega_texts *)(void *)((char *)values + o->offset))->item);
}

static int run(const struct mega_command *c, int argc, char **argv)
{
    void *values = calloc(1, c->options_size + 1);
    const char **word = calloc((size_t)argc + 1, sizeof *word);
    if (!values || !word) {
        free(values);
        free(word);
        return mega_command_fail(mega_fail(MEGA_NO_MEMORY, "no memory for the command line"));
    }
    if (c->options) mega_option_defaults(c->options, values);
    struct parser p = {
        .command = c, .argv = argv, .argc = argc, .values = values, .word = word
    };
    int status =
        parse(&p) ? usage_error(c) : c->run(&(struct mega_line){ values, word, p.n_words });
    free_lists(c->options, values);
    free(values);
    free(word);
    return status;
}

/* the command that argv begins with, one or two words; *used: how many */
static const struct mega_command *find_in(int argc, char **argv, int *used)
{
    char both[128];
    *used = 2;
    if (argc > 1) {
        snprintf(both, sizeof both, "%.60s %.60s", argv[0], argv[1]);
        const struct mega_command *c = mega_command_find(both);
        if (c) return c;
    }
    *used = 1;
    return mega_command_find(argv[0]);
}

/* the command whose name is nearest to `words`, or NULL */
static const char *nearest_command(const char *words)
{
    const char *nearest = NULL;
    int best = 3;
    for (const struct mega_command *const *c = mega_commands; *c; c++) {
        int distance = mega_text_distance((*c)->name, words);
        if (distance < best) {
            best = distance;
            nearest = (*c)->name;
        }
    }
    return nearest;
}

/* The words name no command: was one meant that is spelt alike, or one of those that begin with
 * the first word? */
static int unknown_command(const char *first, const char *second)
{
    char words[128];
    struct mega_text meant = { 0 };
    snprintf(words, sizeof words, "%.60s%s%.60s", first, *second ? " " : "", second);
    const char *near = nearest_command(words), *given = near ? words : first;
    if (!near) near = nearest_command(first);
    if (near) mega_text_add(&meant, "%s", near);
    size_t length = strlen(first);
    for (const struct mega_command *const *c = mega_commands; *c && !near; c++)
        if (!strncmp((*c)->name, first, length) && (*c)->name[length] == ' ')
            mega_text_add(&meant, "%s%s", meant.size ? " or " : "", (*c)->name);
    if (meant.size)
        mega_fail(
            MEGA_BAD_ARGUMENT, "unknown command '%s', did you mean %s?", given, meant.data);
    else
        mega_fail(MEGA_BAD_ARGUMENT, "unknown command '%s'", first);
    mega_text_done(&meant);
    return usage_error(NULL);
}

int mega_command_main(int argc, char **argv)
{
    if (argc < 2) {
        mega_help_menu(stderr);
        return MEGA_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("mega %s\n", MEGA_VERSION);
        return mega_command_finish(MEGA_EXIT_OK);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) argv[1] = "help";
    int used;
    const struct mega_command *c = find_in(argc - 1, argv + 1, &used);
    if (!c) return unknown_command(argv[1], argc > 2 ? argv[2] : "");
    for (int i = 1 + used; i < argc; i++)
        if (!strcmp(argv[i], "--help")) {
            mega_help_usage(stdout, c);
            return mega_command_finish(MEGA_EXIT_OK);
        }
    return mega_command_finish(run(c, argc - 1 - used, argv + 1 + used));
}
