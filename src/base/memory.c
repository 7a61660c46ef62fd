#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* "Name:   123 kB" of a file of the system, in bytes */
static size_t look_up(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    char line[256];
    unsigned long long kib = 0;
    size_t n = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, n) && sscanf(line + n, ": %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return (size_t)kib * 1024;
}

size_t mega_memory_resident(void)
{
    return look_up("/proc/self/status", "VmRSS");
}

/* not getrusage: that also counts the program that started this one */
size_t mega_memory_peak(void)
{
    return look_up("/proc/self/status", "VmHWM");
}

size_t mega_memory_free(void)
{
    return look_up("/proc/meminfo", "MemAvailable");
}
