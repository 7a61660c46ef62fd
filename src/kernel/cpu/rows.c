#include "kernel/cpu/rows.h"

extern const struct mega_cpu_rows mega_cpu_rows_base;
#if defined(__x86_64__)
extern const struct mega_cpu_rows mega_cpu_rows_avx2, mega_cpu_rows_avx512;
#endif

const struct mega_cpu_rows *mega_cpu_rows(enum mega_isa isa)
{
#if defined(__x86_64__)
    if (isa == MEGA_ISA_AVX512) return &mega_cpu_rows_avx512;
    if (isa == MEGA_ISA_AVX2) return &mega_cpu_rows_avx2;
#endif
    (void)isa;
    return &mega_cpu_rows_base;
}
