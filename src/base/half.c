#include "base/half.h"

#include <string.h>

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

float mega_from_bf16(uint16_t v)
{
    return float_of((uint32_t)v << 16);
}

uint16_t mega_to_bf16(float v)
{
    uint32_t bits = bits_of(v);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40); /* a NaN stays one */
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

float mega_from_f16(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000) << 16, exponent = v >> 10 & 31, fraction = v & 1023;
    if (exponent == 31) return float_of(sign | 0x7F800000u | fraction << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float subnormal = (float)fraction * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

uint16_t mega_to_f16(float v)
{
    uint32_t bits = bits_of(v), sign = bits >> 16 & 0x8000, rest = bits & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) return (uint16_t)(sign | 0x7E00);
    if (rest >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* rounds beyond 65504 */
    if (rest < 0x38800000u) {
        /* below 2^-14 the result is a multiple of 2^-24: let an addition round */
        float shifted = float_of(rest) + 0.5f;
        return (uint16_t)(sign | (bits_of(shifted) - bits_of(0.5f)));
    }
    uint32_t odd = rest >> 13 & 1;
    return (uint16_t)(sign | ((rest - 0x38000000u + 0xFFFu + odd) >> 13));
}
