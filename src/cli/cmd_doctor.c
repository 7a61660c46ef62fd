/* mega doctor: what this machine has, what will be used, how fast it is. */
#include <dnnl.h>
#include <omp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/open.h"
#include "graph/context.h"
#include "kernel/check.h"
#include "kernel/peak.h"

struct options {
    bool measure, check, json;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "measure", MEGA_OPTION_BOOL, AT(measure), "false", 0, 0, NULL, NULL,
        "measure the machine's peaks: multiply-adds and bytes a second", 0 },
    { "check", MEGA_OPTION_BOOL, AT(check), "false", 0, 0, NULL, NULL,
        "hold every kernel that this machine can run to its reference", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "print one JSON object on one line", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* "model name" of the first processor that the system lists */
static void cpu_name(char out[128])
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    strcpy(out, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f) fclose(f);
}

static void describe(const mega_context *c)
{
    char name[128];
    const dnnl_version_t *v = dnnl_version();
    cpu_name(name);
    printf("mega.c            %s\n", MEGA_VERSION);
    printf("processor         %s, %ld cores\n", name, sysconf(_SC_NPROCESSORS_ONLN));
    printf("instruction sets  %s here, %s in use\n", mega_isa_name(mega_isa_here()),
        mega_isa_name(c->limits.isa));
    printf("threads           %d (OpenMP would take %d)\n", c->work.threads,
        omp_get_max_threads());
    printf("memory            %.1f GiB\n",
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30));
    printf("caches            L1 %ld KiB, L2 %ld KiB, L3 %ld KiB\n",
        sysconf(_SC_LEVEL1_DCACHE_SIZE) >> 10, sysconf(_SC_LEVEL2_CACHE_SIZE) >> 10,
        sysconf(_SC_LEVEL3_CACHE_SIZE) >> 10);
    printf("oneDNN            %d.%d.%d\n", v->major, v->minor, v->patch);
    printf("rooms             %s\n", !c->limits.rooms   ? "onednn, cpu, references"
                                     : *c->limits.rooms ? c->limits.rooms
                                                        : "references alone");
    printf("GPU               none is used: there is no such room yet\n");
}

static mega_status measure(mega_context *c, bool json)
{
    struct mega_peak p;
    MEGA_TRY(mega_peak_measure(&c->work, c->limits.isa, 1.5, &p));
    if (json)
        printf("{\"fma_gflops_1\": %.1f, \"fma_gflops_all\": %.1f, \"copy_gbs_1\": %.2f, "
               "\"copy_gbs_all\": %.2f, \"threads\": %d, \"isa\": \"%s\"}\n",
            p.fma_one, p.fma_all, p.copy_one, p.copy_all, p.threads,
            mega_isa_name(c->limits.isa));
    else
        printf("peak, 1 thread    %.0f GFLOP/s float32, %.1f GB/s copied (read and "
               "written)\npeak, %d threads   %.0f GFLOP/s, %.1f GB/s\n",
            p.fma_one, p.copy_one, p.threads, p.fma_all, p.copy_all);
    return MEGA_OK;
}

/* every kernel that may be used here against its reference; the first failure is told and
 * counted */
static mega_status check(const mega_context *c)
{
    struct mega_check k;
    int failed = 0, kernels = 0;
    MEGA_TRY(mega_check_init(&k));
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        if (e->isa > c->limits.isa) continue;
        k.worst = 0;
        kernels++;
        mega_status status = mega_check_kernel(&k, e);
        failed += status != MEGA_OK;
        printf("%-18s %s/%-8s %s", e->op->name, e->room, e->kernel->name,
            status ? mega_message() : "fine");
        if (!status) printf(", worst error %.0f %% of what is allowed", 100 * k.worst);
        printf("\n");
        fflush(stdout);
    }
    mega_check_done(&k);
    if (failed)
        return mega_fail(MEGA_INTERNAL,
            "%d of %d kernels differ from their references on this machine: please report",
            failed, kernels);
    printf("%d kernels agree with their references\n", kernels);
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    mega_context *c;
    mega_status status = mega_open_context(&c, &o->open);
    if (status) return mega_command_fail(status);
    if (!o->json) describe(c);
    if (o->measure || o->json) status = measure(c, o->json);
    if (!status && o->check) status = check(c);
    mega_context_free(c);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_doctor = {
    .name = "doctor",
    .summary = "Say what this machine has, what will be used, and how fast it is",
    .words = "",
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
