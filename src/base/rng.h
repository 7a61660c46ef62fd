/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A draw is a pure function of (seed, site, counter): there is no generator state to keep,
 * order and thread count do not matter. */
#ifndef MEGA_BASE_RNG_H
#define MEGA_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* 128 random bits for a key and a 128-bit counter. */
void mega_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4]);

/* A 64-bit hash of bytes (FNV-1a, then mixed): names of sites, splits by hash. Stable for ever:
 * files depend on it. */
uint64_t mega_hash(const void *bytes, size_t n);
uint64_t mega_hash_text(const char *text);

/* Combines two 64-bit values into one, order matters. */
uint64_t mega_hash_join(uint64_t a, uint64_t b);

/* A sequential stream over Philox for code that draws one number after another. */
struct mega_rng {
    uint64_t key, count;
    uint32_t block[4];
    int left; /* numbers left in block */
};
void mega_rng_start(struct mega_rng *g, uint64_t seed, uint64_t site);
uint32_t mega_rng_u32(struct mega_rng *g);
uint32_t mega_rng_below(
    struct mega_rng *g, uint32_t n);        /* uniform in [0, n), without bias; n > 0 */
double mega_rng_unit(struct mega_rng *g);   /* uniform in [0, 1), 53 bits */
double mega_rng_normal(struct mega_rng *g); /* mean 0, standard deviation 1 */

#endif
