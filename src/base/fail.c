#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048 };
static _Thread_local char message[MESSAGE_SIZE];

const char *mega_status_name(mega_status status)
{
    switch (status) {
    case MEGA_OK: return "ok";
    case MEGA_BAD_ARGUMENT: return "bad argument";
    case MEGA_BAD_FILE: return "bad file";
    case MEGA_IO: return "input/output";
    case MEGA_NO_MEMORY: return "no memory";
    case MEGA_UNSUPPORTED: return "unsupported";
    case MEGA_NOT_FINITE: return "not finite";
    case MEGA_STOPPED: return "stopped";
    case MEGA_INTERNAL: return "internal";
    }
    return "unknown status";
}

const char *mega_message(void)
{
    return message;
}

mega_status mega_fail(mega_status status, const char *format, ...)
{
    /* the arguments may point into the present message: format into a buffer of its own */
    char fresh[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(fresh, sizeof fresh, format, args);
    va_end(args);
    memcpy(message, fresh, sizeof message);
    return status;
}

mega_status mega_fail_errno(const char *doing, const char *path)
{
    return mega_fail(MEGA_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

mega_status mega_fail_in(mega_status status, const char *format, ...)
{
    char place[512];
    va_list args;
    va_start(args, format);
    vsnprintf(place, sizeof place, format, args);
    va_end(args);
    return mega_fail(status, "%s%s", place, message);
}
