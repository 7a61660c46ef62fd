/* A context: what would otherwise be global. Threads, which kernels may be used, where log
 * lines go.
 *
 * Several contexts may live side by side; one context must not be used by two threads at the
 * same time. */
#ifndef MEGAC_CONTEXT_H
#define MEGAC_CONTEXT_H

#include <stdbool.h>

#include "megac/log.h"
#include "megac/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mega_context mega_context;

struct mega_context_options {
    int threads;       /* 0: MEGA_THREADS, else as OpenMP chooses */
    const char *isa;   /* the best instruction set to use: "base", "avx2", "avx512"; NULL:
                          MEGA_ISA, else what the machine has */
    const char *rooms; /* rooms of kernels to use, "cpu"; "none": references only; NULL:
                          MEGA_ROOMS, else all */
    bool log_dispatch; /* say once for each new op and shape which kernel was chosen and why
                          others refused */
    mega_log_fn *log;  /* NULL: silence */
    void *log_arg;
};

/* `options` may be NULL. The context is yours to free. */
mega_status mega_context_new(mega_context **out, const struct mega_context_options *options);
void mega_context_free(mega_context *c);

int mega_context_threads(const mega_context *c);

#ifdef __cplusplus
}
#endif
#endif
