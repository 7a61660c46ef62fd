/* The catalogue of variants for people: a table of all, a page of one. */
#ifndef MEGA_CLI_VARIANT_HELP_H
#define MEGA_CLI_VARIANT_HELP_H

#include <stdio.h>

/* All variants, one a line; in Markdown and as a man page all that there is to say of each. */
void mega_help_variants(FILE *to);
void mega_help_variants_markdown(FILE *to);
void mega_help_variants_man(FILE *to);

/* The page of one; the exit status (an unknown name is answered with the nearest). */
int mega_help_variant(FILE *to, const char *name);

#endif
