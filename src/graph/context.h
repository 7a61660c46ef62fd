/* The inside of a context (see megac/context.h). */
#ifndef MEGA_GRAPH_CONTEXT_H
#define MEGA_GRAPH_CONTEXT_H

#include "base/log.h"
#include "base/work.h"
#include "kernel/kernel.h"
#include "megac/context.h"

struct mega_context {
    struct mega_work work;
    struct mega_kernel_limits limits;
    struct mega_log log;
    bool log_dispatch;
    char rooms[64];
};

#endif
