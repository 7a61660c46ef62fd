/* Commands as data: one file and one line in commands.def each.
 *
 * From a command's table come its parsing, its usage text, its man page, its completion and its
 * page of the reference. */
#ifndef MEGA_CLI_COMMAND_H
#define MEGA_CLI_COMMAND_H

#include <stdio.h>

#include "base/log.h"
#include "base/option.h"
#include "base/text.h"

/* Exit statuses, as documented in mega(1). */
enum mega_exit {
    MEGA_EXIT_OK = 0,
    MEGA_EXIT_FAILED = 1,  /* the message on standard error says what and where */
    MEGA_EXIT_USAGE = 2,   /* the command line itself is wrong */
    MEGA_EXIT_STOPPED = 75 /* ended early by a signal or limit, all is saved: run again with
                              --resume auto (EX_TEMPFAIL) */
};

/* A parsed command line. */
struct mega_line {
    const void *options; /* the command's struct, filled */
    const char **word;   /* what is not an option, in order */
    int n_words;
};

struct mega_command {
    const char *name;    /* "train", "data listops" */
    const char *summary; /* one line, no full stop */
    const char
        *words;      /* how the words stand in usage text: "RECIPE", "RUN_OR_MODEL [FILE|-]" */
    int least, most; /* how many words; most -1: any */
    const struct mega_option *options;
    size_t options_size;
    const char *manual; /* paragraphs for the man page, separated by empty lines */
    int (*run)(const struct mega_line *line);
};

extern const struct mega_command *const mega_commands[]; /* ended by NULL */

/* The command with this name; blanks and dashes are alike ("data-listops"). NULL if there is
 * none. */
const struct mega_command *mega_command_find(const char *name);

/* Parses and runs; argv[0] is the program. Returns the exit status. */
int mega_command_main(int argc, char **argv);

/* Says on standard error why a command failed: "mega: <message>"; returns the exit status that
 * belongs to `status`. */
int mega_command_fail(mega_status status);

/* Writes all that is pending to standard output and closes it; a failure (a full disk) is
 * reported and changes `status`. */
int mega_command_finish(int status);

/* Log lines of the library go to standard error: a mega_log_fn. */
void mega_command_log(void *arg, enum mega_log_level level, const char *line);

/* ---- printed from the tables (help.c) ---- */

void mega_help_menu(FILE *to);
void mega_help_usage(FILE *to, const struct mega_command *c);
void mega_help_options(FILE *to, const struct mega_option *table);
void mega_help_man(FILE *to, const struct mega_command *c); /* NULL: mega(1) itself */
void mega_help_roff(
    FILE *to, const char *text); /* with what roff takes for commands harmless */
void mega_help_markdown(FILE *to);
int mega_help_completion(FILE *to, const char *shell); /* 0, or 2 for an unknown shell */

#endif
