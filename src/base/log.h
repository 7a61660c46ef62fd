/* Log lines: the library says something only through the sink that its user gave. */
#ifndef MEGA_BASE_LOG_H
#define MEGA_BASE_LOG_H

#include "base/fail.h"

enum mega_log_level { MEGA_LOG_NOTE, MEGA_LOG_WARN, MEGA_LOG_DISPATCH };

typedef void mega_log_fn(void *arg, enum mega_log_level level, const char *line);

struct mega_log {
    mega_log_fn *write; /* NULL: silence */
    void *arg;
};

void mega_log_line(const struct mega_log *log, enum mega_log_level level, const char *format,
    ...) MEGA_PRINTF(3, 4);

#endif
