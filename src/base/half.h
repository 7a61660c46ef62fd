/* bfloat16 and float16 <-> float32, round to nearest even. */
#ifndef MEGA_BASE_HALF_H
#define MEGA_BASE_HALF_H

#include <stdint.h>

float mega_from_bf16(uint16_t v);
uint16_t mega_to_bf16(float v);
float mega_from_f16(uint16_t v);
uint16_t mega_to_f16(float v);

#endif
