#include "kernel/cpu/pairs.h"

#include "kernel/kernel.h"

#if defined(__x86_64__)
extern const struct mega_pairs mega_pairs_avx512;

const struct mega_pairs *mega_pairs(void)
{
    bool has = mega_isa_here() >= MEGA_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
    return has ? &mega_pairs_avx512 : NULL;
}
#else
const struct mega_pairs *mega_pairs(void)
{
    return NULL;
}
#endif
