/* Log lines: the library says something only through a function that its user gave. */
#ifndef MEGAC_LOG_H
#define MEGAC_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum mega_log_level { MEGA_LOG_NOTE, MEGA_LOG_WARN, MEGA_LOG_DISPATCH };

/* `line` has no newline and lives only during the call. */
typedef void mega_log_fn(void *arg, enum mega_log_level level, const char *line);

#ifdef __cplusplus
}
#endif
#endif
