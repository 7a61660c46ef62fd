#include "cli/memory.h"

#include <sys/resource.h>

double mega_memory_peak_mb(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (double)usage.ru_maxrss * 1024e-6;
}
