#include "cli/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* what stands behind the first line of a file of "name : value" lines that begins so */
static bool find_line(const char *path, const char *name, char *out, int size)
{
    FILE *f = fopen(path, "r");
    char line[8192];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (!value || strncmp(line, name, strlen(name)) != 0) continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(out, (size_t)size, "%.*s", (int)strcspn(value, "\n"), value);
        found = true;
    }
    if (f) fclose(f);
    return found;
}

void mega_machine_cpu(char out[128])
{
    if (!find_line("/proc/cpuinfo", "model name", out, 128)) strcpy(out, "unknown");
}

bool mega_machine_has(const char *feature)
{
    char flags[8192];
    if (!find_line("/proc/cpuinfo", "flags", flags, sizeof flags)) return false;
    for (char *rest, *word = strtok_r(flags, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        if (!strcmp(word, feature)) return true;
    return false;
}

double mega_machine_load(void)
{
    double load;
    return getloadavg(&load, 1) == 1 ? load : 0;
}
