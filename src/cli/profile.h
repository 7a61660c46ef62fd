/* Profiles on the screen: what --profile prints. */
#ifndef MEGA_CLI_PROFILE_H
#define MEGA_CLI_PROFILE_H

#include "graph/context.h"
#include "graph/profile.h"

/* Measures the machine's peaks and prints the table on standard error; with `json` also an
 * object on standard output, as a value inside a larger one. */
void mega_profile_show(mega_context *c, const struct mega_profile *p, bool json);

#endif
