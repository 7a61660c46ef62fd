#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void mega_log_line(
    const struct mega_log *log, enum mega_log_level level, const char *format, ...)
{
    if (!log || !log->write) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->write(log->arg, level, line);
}
