#include "base/rng.h"

#include <math.h>
#include <string.h>

void mega_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* the finaliser of splitmix64: every input bit reaches every output bit */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

uint64_t mega_hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001B3u;
    return mix(h);
}

uint64_t mega_hash_text(const char *text)
{
    return mega_hash(text, strlen(text));
}

uint64_t mega_hash_join(uint64_t a, uint64_t b)
{
    return mix(a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u);
}

void mega_rng_start(struct mega_rng *g, uint64_t seed, uint64_t site)
{
    *g = (struct mega_rng){ .key = mega_hash_join(seed, site) };
}

uint32_t mega_rng_u32(struct mega_rng *g)
{
    if (!g->left) {
        mega_philox(g->key, g->count++, 0, g->block);
        g->left = 4;
    }
    return g->block[4 - g->left--];
}

uint32_t mega_rng_below(struct mega_rng *g, uint32_t n)
{
    /* Lemire's multiplication with rejection of the few values that would be favoured */
    uint64_t product = (uint64_t)mega_rng_u32(g) * n;
    if ((uint32_t)product < n) {
        uint32_t least = -n % n;
        while ((uint32_t)product < least) product = (uint64_t)mega_rng_u32(g) * n;
    }
    return (uint32_t)(product >> 32);
}

double mega_rng_unit(struct mega_rng *g)
{
    uint64_t high = mega_rng_u32(g), low = mega_rng_u32(g);
    return (double)((high << 21) ^ (low >> 11)) * 0x1p-53;
}

double mega_rng_normal(struct mega_rng *g)
{
    /* Box-Muller; 1 - u keeps the logarithm finite */
    double u = 1.0 - mega_rng_unit(g), v = mega_rng_unit(g);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
