#include <signal.h>

#include "cli/command.h"

int main(int argc, char **argv)
{
    /* a file that meets its limit is a write that failed (EFBIG), with a message */
    signal(SIGXFSZ, SIG_IGN);
    return mega_command_main(argc, argv);
}
