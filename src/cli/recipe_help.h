/* The reference of recipes: every key of every section, printed from the tables. */
#ifndef MEGA_CLI_RECIPE_HELP_H
#define MEGA_CLI_RECIPE_HELP_H

#include <stdbool.h>
#include <stdio.h>

void mega_help_recipe(FILE *to, bool markdown);

#endif
