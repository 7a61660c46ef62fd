/* The screen of a run: on a terminal one status line that overwrites itself, elsewhere plain
 * lines. */
#ifndef MEGA_CLI_SCREEN_H
#define MEGA_CLI_SCREEN_H

#include "train/sinks.h"

/* A screen on standard error; `quiet` shows nothing. */
struct mega_screen mega_screen_open(bool quiet);

/* Ends a status line that stands open. */
void mega_screen_close(void);

#endif
