#include "cli/command.h"

int main(int argc, char **argv)
{
    return mega_command_main(argc, argv);
}
