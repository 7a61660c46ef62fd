#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernel/kernel.h"
#include "kernel/widen.h"

/* ---- the tables ---- */

#if defined(__x86_64__)
#define X(op, kernel) extern const struct mega_kernel mega_bf16_##kernel;
#include "kernel/cpu/bf16/kernels.def"
#undef X
#define MEGA_EACH_ISA(declare, op, kernel)                                                     \
    declare(op, kernel, avx512, MEGA_ISA_AVX512) declare(op, kernel, avx2, MEGA_ISA_AVX2)      \
        declare(op, kernel, base, MEGA_ISA_BASE)
#else
#define MEGA_EACH_ISA(declare, op, kernel) declare(op, kernel, base, MEGA_ISA_BASE)
#endif

#define DECLARE(op, kernel, set, isa) extern const struct mega_kernel mega_cpu_##kernel##_##set;
#define X(op, kernel) MEGA_EACH_ISA(DECLARE, op, kernel)
#include "kernel/cpu/kernels.def"
#undef X
#undef DECLARE

#define X(name) extern const struct mega_op mega_op_##name;
#include "op/ops.def"
#undef X

#define WIDENED(op, kernel, set, isa)                                                          \
    static const struct mega_widened widened_##kernel##_##set =                                \
        MEGA_WIDENED(#set, &mega_cpu_##kernel##_##set);
#define X(op, kernel) MEGA_EACH_ISA(WIDENED, op, kernel)
#include "kernel/cpu/kernels.def"
#undef X
#undef WIDENED

const struct mega_kernel_entry mega_kernels[] = {
#if defined(__x86_64__)
#define X(op, kernel) { "cpu", &mega_op_##op, &mega_bf16_##kernel, MEGA_ISA_AVX512, false },
#include "kernel/cpu/bf16/kernels.def"
#undef X
#endif
#define ENTRY(op, kernel, set, isa)                                                            \
    { "cpu", &mega_op_##op, &mega_cpu_##kernel##_##set, isa, false },
#define X(op, kernel) MEGA_EACH_ISA(ENTRY, op, kernel)
#include "kernel/cpu/kernels.def"
#undef X
#undef ENTRY
#define ENTRY(op, kernel, set, isa)                                                            \
    { "cpu", &mega_op_##op, &widened_##kernel##_##set.outer, isa, true },
#define X(op, kernel) MEGA_EACH_ISA(ENTRY, op, kernel)
#include "kernel/cpu/kernels.def"
#undef X
#undef ENTRY
    { NULL, NULL, NULL, MEGA_ISA_BASE, false },
};

/* ---- choosing ---- */

enum mega_isa mega_isa_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return MEGA_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return MEGA_ISA_AVX2;
#endif
    return MEGA_ISA_BASE;
}

const char *mega_isa_name(enum mega_isa isa)
{
    static const char *const names[] = { "base", "avx2", "avx512" };
    return names[isa];
}

bool mega_bf16_units_here(void)
{
#if defined(__x86_64__)
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 }; /* of leaf 7 */
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AMX_BF16) && (d & AMX_TILE);
#else
    return false;
#endif
}

/* `room` stands in the comma-separated list */
static bool listed(const char *rooms, const char *room)
{
    size_t n = strlen(room);
    while (rooms && *rooms) {
        size_t length = strcspn(rooms, ",");
        if (length == n && !memcmp(rooms, room, n)) return true;
        rooms += length + (rooms[length] == ',');
    }
    return false;
}

static bool takes(const struct mega_kernel *k, const struct mega_call *c, const char **why)
{
    *why = "does not take this";
    if ((c->mode & MEGA_RUN_GRAD) && !k->backward) {
        *why = "no backward pass";
        return false;
    }
    struct mega_call asked = *c;
    asked.kernel = k;
    return !k->accepts || k->accepts(&asked, why);
}

const struct mega_kernel *mega_kernel_choose(const struct mega_call *c,
    const struct mega_kernel_limits *limits, struct mega_text *refusals)
{
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        const char *why;
        if (e->op != c->op || e->isa > limits->isa ||
            (limits->rooms && !listed(limits->rooms, e->room)))
            continue;
        if (takes(e->kernel, c, &why)) return e->kernel;
        if (refusals) mega_text_add(refusals, "%s/%s: %s; ", e->room, e->kernel->name, why);
    }
    return c->op->reference.forward ? &c->op->reference : NULL;
}
