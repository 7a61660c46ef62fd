#include "graph/precision.h"

enum mega_precision mega_precision_resolve(int precision)
{
    if (precision != MEGA_PRECISION_AUTO) return (enum mega_precision)precision;
    return mega_bf16_units_here() ? MEGA_PRECISION_BF16 : MEGA_PRECISION_FLOAT32;
}

mega_dtype mega_precision_type(int precision)
{
    return mega_precision_resolve(precision) == MEGA_PRECISION_BF16 ? MEGA_BF16 : MEGA_F32;
}

const char *mega_precision_note(int precision, const mega_context *c)
{
    bool products = c->limits.isa >= MEGA_ISA_AVX512 && mega_bf16_products_here();
    if (products || mega_precision_type(precision) != MEGA_BF16) return NULL;
    return "precision: bf16: activations are kept in bfloat16 and computed with in float32: "
           "that saves memory, not time";
}
