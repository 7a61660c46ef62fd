#include "cli/screen.h"

#include <stdio.h>
#include <unistd.h>

static bool terminal, open_line;

static void clear(void)
{
    if (open_line) fputs("\r\033[K", stderr);
    open_line = false;
}

static void status(void *arg, const char *text)
{
    (void)arg;
    clear();
    fprintf(stderr, terminal ? "%s" : "%s\n", text);
    fflush(stderr);
    open_line = terminal;
}

static void line(void *arg, const char *text)
{
    (void)arg;
    clear();
    fprintf(stderr, "%s\n", text);
}

struct mega_screen mega_screen_open(bool quiet)
{
    terminal = isatty(STDERR_FILENO);
    return quiet ? (struct mega_screen){ 0 } : (struct mega_screen){ status, line, NULL };
}

void mega_screen_close(void)
{
    if (open_line) fputc('\n', stderr);
    open_line = false;
}
