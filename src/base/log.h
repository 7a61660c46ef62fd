/* Log lines: to the sink that the user gave, or nowhere. */
#ifndef MEGA_BASE_LOG_H
#define MEGA_BASE_LOG_H

#include "base/fail.h"
#include "megac/log.h"

struct mega_log {
    mega_log_fn *write; /* NULL: silence */
    void *arg;
};

void mega_log_line(const struct mega_log *log, enum mega_log_level level, const char *format,
    ...) MEGA_PRINTF(3, 4);

#endif
