/* Options that many commands share: which kernels and threads to use. */
#ifndef MEGA_CLI_OPEN_H
#define MEGA_CLI_OPEN_H

#include "base/option.h"
#include "megac/context.h"

struct mega_open {
    int64_t threads;
    const char *isa, *rooms;
};

/* The lines of an option table for a struct mega_open at offset `at`. */
#define MEGA_OPEN_OPTIONS(at)                                                                  \
    { "threads", MEGA_OPTION_INT, (at) + offsetof(struct mega_open, threads), "0", 0, 1024,    \
        NULL, "N", "threads; 0: MEGA_THREADS, else all cores", 't' },                          \
        { "isa", MEGA_OPTION_TEXT, (at) + offsetof(struct mega_open, isa), "", 0, 0, NULL,     \
            "SET", "best instruction set to use: base, avx2, avx512", 0 },                     \
    {                                                                                          \
        "rooms", MEGA_OPTION_TEXT, (at) + offsetof(struct mega_open, rooms), "", 0, 0, NULL,   \
            "LIST", "rooms of kernels to use: cpu; none: plain references", 0                  \
    }

/* A context as these options say; its log lines go to standard error. */
mega_status mega_open_context(mega_context **out, const struct mega_open *o);

#endif
