/* mega train --dry-run: what a recipe would do. */
#ifndef MEGA_CLI_DRY_RUN_H
#define MEGA_CLI_DRY_RUN_H

#include "cli/open.h"

/* Checks recipe and data and prints the full recipe, parameters, memory and steps. Returns the
 * exit status. */
int mega_dry_run(
    const char *recipe, const struct mega_texts *set, const struct mega_open *open);

#endif
