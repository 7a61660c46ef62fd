/* Words in a row: the command line of another program, the items of a list. */
#ifndef MEGA_CLI_WORDS_H
#define MEGA_CLI_WORDS_H

#include "base/text.h"

struct mega_words {
    struct mega_text text; /* each word ended by a NUL */
    int n;
};

void mega_words_add(struct mega_words *w, const char *format, ...) MEGA_PRINTF(2, 3);
void mega_words_split(struct mega_words *w, const char *list); /* "a,b,c": adds its items */
void mega_words_done(struct mega_words *w);

/* The first word, and the one after `word`; NULL where there is none. */
const char *mega_words_first(const struct mega_words *w);
const char *mega_words_next(const struct mega_words *w, const char *word);

/* The words as argv, ended by NULL; they stay where they are. NULL: no memory. Yours to free.
 */
char **mega_words_argv(const struct mega_words *w);

#endif
