#include "graph/context.h"

#include <stdlib.h>
#include <string.h>

static const char *given(const char *option, const char *variable)
{
    if (option) return option;
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

static mega_status choose_isa(mega_context *c, const char *name)
{
    enum mega_isa here = mega_isa_here();
    c->limits.isa = here;
    if (!name) return MEGA_OK;
    for (enum mega_isa isa = MEGA_ISA_BASE; isa <= MEGA_ISA_AVX512; isa++) {
        if (strcmp(name, mega_isa_name(isa)) != 0) continue;
        if (isa > here)
            return mega_fail(MEGA_UNSUPPORTED,
                "instruction set %s was asked for, but this machine has %s at most", name,
                mega_isa_name(here));
        c->limits.isa = isa;
        return MEGA_OK;
    }
    return mega_fail(MEGA_BAD_ARGUMENT,
        "instruction set '%s' is not known, expected base, avx2 or avx512", name);
}

static mega_status choose_rooms(mega_context *c, const char *rooms)
{
    if (!rooms) return MEGA_OK;
    if (strlen(rooms) >= sizeof c->rooms)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "rooms '%s': expected a list of onednn, cpu, or none", rooms);
    strcpy(c->rooms, strcmp(rooms, "none") ? rooms : "");
    c->limits.rooms = c->rooms;
    return MEGA_OK;
}

mega_status mega_context_new(mega_context **out, const struct mega_context_options *options)
{
    static const struct mega_context_options none;
    if (!options) options = &none;
    *out = NULL;
    mega_context *c = calloc(1, sizeof *c);
    if (!c) return mega_fail(MEGA_NO_MEMORY, "no memory for a context");
    c->log = (struct mega_log){ options->log, options->log_arg };
    c->log_dispatch = options->log_dispatch;
    const char *threads = given(NULL, "MEGA_THREADS");
    int n = options->threads ? options->threads : threads ? atoi(threads) : 0;
    mega_status status = n < 0 || n > 1024
                             ? mega_fail(MEGA_BAD_ARGUMENT, "%d threads: expected 1 to 1024", n)
                             : MEGA_OK;
    if (!status) status = choose_isa(c, given(options->isa, "MEGA_ISA"));
    if (!status) status = choose_rooms(c, given(options->rooms, "MEGA_ROOMS"));
    if (!status) status = mega_work_init(&c->work, n);
    if (status) {
        free(c);
        return status;
    }
    *out = c;
    return MEGA_OK;
}

void mega_context_free(mega_context *c)
{
    if (!c) return;
    mega_work_done(&c->work);
    free(c);
}

int mega_context_threads(const mega_context *c)
{
    return c->work.threads;
}
