#include "kernel/cpu/product.h"

extern const struct mega_products mega_products_base;
#if defined(__x86_64__)
extern const struct mega_products mega_products_avx2, mega_products_avx512;
#endif

const struct mega_products *mega_products(enum mega_isa isa)
{
#if defined(__x86_64__)
    if (isa == MEGA_ISA_AVX512) return &mega_products_avx512;
    if (isa == MEGA_ISA_AVX2) return &mega_products_avx2;
#endif
    (void)isa;
    return &mega_products_base;
}

struct mega_right mega_right_packed(
    const struct mega_products *p, float *room, struct mega_matrix b, int64_t k, int64_t n)
{
    int64_t columns = mega_panel_columns(p, n);
    p->pack(room, columns, b, k, n);
    return (struct mega_right){ room, columns, columns * k, columns };
}

struct mega_right mega_right_turned(
    const struct mega_products *p, float *room, struct mega_matrix b, int64_t k, int64_t n)
{
    int64_t columns = mega_panel_columns(p, n);
    p->pack_turned(room, columns, b, k, n);
    return (struct mega_right){ room, columns, columns * k, columns };
}
