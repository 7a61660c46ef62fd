/* The table of presets for people: a line of each, all of one. */
#ifndef MEGA_CLI_PRESET_HELP_H
#define MEGA_CLI_PRESET_HELP_H

#include <stdio.h>

/* All presets, one a line; in Markdown with all that they set. */
void mega_help_presets(FILE *to);
void mega_help_presets_markdown(FILE *to);

/* What one sets, as a recipe has it; the exit status (an unknown name is answered with the
 * nearest). */
int mega_help_preset(FILE *to, const char *name);

#endif
