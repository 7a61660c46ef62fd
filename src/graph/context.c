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

static bool is_room(const char *name, size_t n)
{
    static const char *const rooms[] = { "cpu" };
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if (strlen(rooms[i]) == n && !memcmp(rooms[i], name, n)) return true;
    return false;
}

static mega_status choose_rooms(mega_context *c, const char *rooms)
{
    if (!rooms) return MEGA_OK;
    c->limits.rooms = c->rooms;
    if (!strcmp(rooms, "none")) return MEGA_OK;
    bool known = strlen(rooms) < sizeof c->rooms;
    for (const char *at = rooms; known; at++) {
        size_t n = strcspn(at, ",");
        known = is_room(at, n);
        at += n;
        if (!*at) break;
    }
    if (!known)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rooms '%s': expected cpu, or none for the plain references", rooms);
    strcpy(c->rooms, rooms);
    return MEGA_OK;
}

static mega_status choose_tile(mega_context *c, const char *variable)
{
    if (!variable) return MEGA_OK;
    char *end = NULL;
    long n = strtol(variable, &end, 10);
    if (*end || end == variable || n < 1 || n > 4096)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "MEGA_TILE is '%s', expected a number from 1 to 4096", variable);
    c->work.tile = (int)n;
    return MEGA_OK;
}

static mega_status choose_threads(int asked, const char *variable, int *threads)
{
    enum { MOST = 1024 };
    char *end = NULL;
    long n = asked;
    if (!asked && variable) {
        n = strtol(variable, &end, 10);
        if (*end || end == variable || n < 1 || n > MOST)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "MEGA_THREADS is '%s', expected a number from 1 to %d", variable, MOST);
    }
    if (n < 0 || n > MOST)
        return mega_fail(MEGA_BAD_ARGUMENT, "%ld threads: expected 1 to %d", n, MOST);
    *threads = (int)n;
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
    int threads = 0; /* as many as there are */
    mega_status status =
        choose_threads(options->threads, given(NULL, "MEGA_THREADS"), &threads);
    if (!status) status = choose_isa(c, given(options->isa, "MEGA_ISA"));
    if (!status) status = choose_rooms(c, given(options->rooms, "MEGA_ROOMS"));
    if (!status) status = mega_work_init(&c->work, threads);
    if (!status) status = choose_tile(c, given(NULL, "MEGA_TILE"));
    if (status) {
        mega_context_free(c);
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
