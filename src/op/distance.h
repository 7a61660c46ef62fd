/* ALiBi's slopes (2108.12409). */
#ifndef MEGA_OP_DISTANCE_H
#define MEGA_OP_DISTANCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Of head h, where the first `sloped` have one: with P the largest power of two up to that,
 * 2^(-8 (h+1) / P) of h < P, then every second one of those for 2P heads; 0 of the others.
 * `ahead`: of keys behind the query (in reading order), where these have slopes of their own:
 * the same ones, the last head's first. */
static inline double mega_alibi_slope(int64_t sloped, int64_t h, bool ahead)
{
    int64_t P = 1;
    if (h >= sloped) return 0;
    if (ahead) h = sloped - 1 - h;
    while (2 * P <= sloped) P *= 2;
    if (h < P) return exp2(-8 * (double)(h + 1) / (double)P);
    return exp2(-8 * (double)(2 * (h - P) + 1) / (double)(2 * P));
}

#endif
