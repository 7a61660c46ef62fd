/* Raising failures: one call records the message and returns the code. */
#ifndef MEGA_BASE_FAIL_H
#define MEGA_BASE_FAIL_H

#include "megac/status.h"

#if defined(__GNUC__)
#define MEGA_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MEGA_PRINTF(text, first)
#endif

/* Sets this thread's message and returns `status`. */
mega_status mega_fail(mega_status status, const char *format, ...) MEGA_PRINTF(2, 3);

/* "cannot <doing> <path>: <strerror(errno)>"; returns MEGA_IO. */
mega_status mega_fail_errno(const char *doing, const char *path);

/* Puts words before the present message ("recipe.yaml: " + message); returns `status`
 * unchanged. */
mega_status mega_fail_in(mega_status status, const char *format, ...) MEGA_PRINTF(2, 3);

/* Leaves the enclosing function with the status of a call that failed. */
#define MEGA_TRY(call)                                                                         \
    do {                                                                                       \
        mega_status try_status_ = (call);                                                      \
        if (try_status_) return try_status_;                                                   \
    } while (0)

#endif
