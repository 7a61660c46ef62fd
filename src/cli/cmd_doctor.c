/* mega doctor: what this machine has, what will be used, how fast it is. */
#include <omp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/machine.h"
#include "cli/open.h"
#include "format/node.h"
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

/* What there is and what will be used. */
struct machine {
    char cpu[128];
    long cores, l1, l2, l3; /* caches in KiB */
    double memory_gib;
    const char *isa_here, *isa, *rooms;
    int threads, threads_openmp;
};

static struct machine look(const mega_context *c)
{
    struct machine m = {
        .cores = sysconf(_SC_NPROCESSORS_ONLN),
        .l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE) >> 10,
        .l2 = sysconf(_SC_LEVEL2_CACHE_SIZE) >> 10,
        .l3 = sysconf(_SC_LEVEL3_CACHE_SIZE) >> 10,
        .memory_gib =
            (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30),
        .isa_here = mega_isa_name(mega_isa_here()),
        .isa = mega_isa_name(c->limits.isa),
        .rooms = !c->limits.rooms   ? "cpu"
                 : *c->limits.rooms ? c->limits.rooms
                                    : "none",
        .threads = c->work.threads,
        .threads_openmp = omp_get_max_threads(),
    };
    mega_machine_cpu(m.cpu);
    return m;
}

static void print_machine(const struct machine *m)
{
    printf("mega.c            %s\n", MEGA_VERSION);
    printf("processor         %s, %ld cores\n", m->cpu, m->cores);
    printf("instruction sets  %s here, %s in use\n", m->isa_here, m->isa);
    printf("threads           %d (OpenMP would take %d)\n", m->threads, m->threads_openmp);
    printf("memory            %.1f GiB\n", m->memory_gib);
    printf("caches            L1 %ld KiB, L2 %ld KiB, L3 %ld KiB\n", m->l1, m->l2, m->l3);
    printf("rooms             %s, then references\n", m->rooms);
    printf("GPU               none is used: there is no such room yet\n");
    if (mega_isa_here() == MEGA_ISA_BASE)
        printf(
            "missing           AVX2 with FMA: the kernels of the base set are much slower\n");
    if (strcmp(m->isa, m->isa_here) != 0)
        printf("held back         to %s by --isa or MEGA_ISA\n", m->isa);
    if (!strstr(m->rooms, "cpu"))
        printf("held back         to plain references by --rooms or MEGA_ROOMS\n");
    if (m->threads < m->cores)
        printf("held back         to %d of %ld cores by --threads, MEGA_THREADS or "
               "OMP_NUM_THREADS\n",
            m->threads, m->cores);
}

static void print_peaks(const struct mega_peak *p)
{
    printf("peak, 1 thread    %.0f GFLOP/s float32, %.1f GB/s copied (read and written)\n"
           "peak, %d threads   %.0f GFLOP/s, %.1f GB/s\n",
        p->fma_one, p->copy_one, p->threads, p->fma_all, p->copy_all);
}

/* ---- kernels against their references ---- */

struct verdict {
    int kernels, failed;
    struct mega_text names; /* of the failed ones, for JSON: "linear cpu/avx2", ... */
};

/* every kernel that may be used here; as text, a line for each */
static mega_status check(const mega_context *c, bool json, struct verdict *v)
{
    struct mega_check k;
    MEGA_TRY(mega_check_init(&k));
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        if (e->isa > c->limits.isa) continue;
        k.worst = 0;
        bool fine = mega_check_kernel(&k, e) == MEGA_OK;
        v->kernels++;
        if (!fine)
            mega_text_add(&v->names, "%s\"%s %s/%s\"", v->failed++ ? ", " : "", e->op->name,
                e->room, e->kernel->name);
        if (json) continue;
        printf("%-18s %s/%-8s ", e->op->name, e->room, e->kernel->name);
        if (fine)
            printf("fine, worst error %.0f %% of what is allowed\n", 100 * k.worst);
        else
            printf("%s\n", mega_message());
        fflush(stdout);
    }
    mega_check_done(&k);
    if (!json && !v->failed) printf("%d kernels agree with their references\n", v->kernels);
    return MEGA_OK;
}

/* ---- all on one line ---- */

static void print_json(
    const struct machine *m, const struct mega_peak *p, const struct verdict *v)
{
    struct mega_text cpu = { 0 };
    mega_json_add_text(&cpu, m->cpu, strlen(m->cpu));
    printf("{\"version\": \"%s\", \"processor\": %s, \"cores\": %ld, \"isa_here\": \"%s\", "
           "\"isa\": \"%s\", \"threads\": %d, \"memory_gib\": %.1f, \"cache_kib\": [%ld, %ld, "
           "%ld], \"rooms\": \"%s\"",
        MEGA_VERSION, cpu.failed ? "\"\"" : cpu.data, m->cores, m->isa_here, m->isa, m->threads,
        m->memory_gib, m->l1, m->l2, m->l3, m->rooms);
    mega_text_done(&cpu);
    if (p->threads)
        printf(", \"fma_gflops_1\": %.1f, \"fma_gflops_all\": %.1f, \"copy_gbs_1\": %.2f, "
               "\"copy_gbs_all\": %.2f",
            p->fma_one, p->fma_all, p->copy_one, p->copy_all);
    if (v->kernels)
        printf(", \"kernels\": %d, \"kernels_wrong\": [%s]", v->kernels,
            v->failed && !v->names.failed ? v->names.data : "");
    printf("}\n");
}

static mega_status doctor(mega_context *c, const struct options *o, struct verdict *v)
{
    struct machine m = look(c);
    struct mega_peak peak = { 0 };
    if (!o->json) print_machine(&m);
    if (o->measure) {
        MEGA_TRY(mega_peak_measure(&c->work, c->limits.isa, 1.5, &peak));
        if (!o->json) print_peaks(&peak);
    }
    if (o->check) MEGA_TRY(check(c, o->json, v));
    if (o->json) print_json(&m, &peak, v);
    if (v->failed)
        return mega_fail(MEGA_INTERNAL,
            "%d of %d kernels differ from their references on this machine: please report",
            v->failed, v->kernels);
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    mega_context *c;
    struct verdict verdict = { 0 };
    mega_status status = mega_open_context(&c, &o->open);
    if (status) return mega_command_fail(status);
    status = doctor(c, o, &verdict);
    mega_text_done(&verdict.names);
    mega_context_free(c);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_doctor = {
    .name = "doctor",
    .summary = "Say what this machine has, what will be used, and how fast it is",
    .words = "",
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "The peaks of --measure take a few seconds: independent multiply-adds in "
              "registers, and copies of arrays larger than the caches, on one thread and on "
              "all. They are what mega bench ops compares kernels with, so measure on an idle "
              "machine.\n\n"
              "--check runs every kernel that the instruction set allows on the examples of "
              "its op, with 1, 2, 3 and 5 threads, and ends with status 1 if one differs from "
              "its reference by more than rounding.",
    .run = run,
};
