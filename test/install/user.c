/* What a user of the installed library writes. */
#include <megac/status.h>
#include <stdio.h>

int main(void)
{
    puts(mega_status_name(MEGA_BAD_FILE));
    return 0;
}
