/* The draws of dropout: which elements stay, as a pure function of where they are.
 *
 * Four neighbouring channels (or keys) share one Philox block: channel c takes word c mod 4 of
 * block c / 4. An element stays if its word is at least p * 2^32, and is then multiplied by 1 /
 * (1 - p). Every kernel draws exactly these bits. */
#ifndef MEGA_OP_DRAW_H
#define MEGA_OP_DRAW_H

#include <stdint.h>

#include "base/rng.h"
#include "op/contracts.h"

/* One key for a site in a step. */
static inline uint64_t mega_draw_key(const struct mega_call *c)
{
    return mega_hash_join(mega_hash_join(c->now.seed, (uint64_t)c->now.step), c->site);
}

/* Words below this one drop. */
static inline uint32_t mega_draw_threshold(double p)
{
    double t = p * 4294967296.0;
    return t >= 4294967295.0 ? 4294967295u : (uint32_t)t;
}

/* Counters: (row of the update, place, channel / 4) for activations; (row, query, head, key /
 * 4) for attention weights. */
static inline uint64_t mega_draw_low(int64_t place)
{
    return (uint64_t)place;
}

static inline uint64_t mega_draw_high(int64_t row, int64_t block)
{
    return (uint64_t)row << 32 | (uint64_t)block;
}

static inline uint64_t mega_draw_weights_low(int64_t query, int64_t key_block)
{
    return (uint64_t)query << 32 | (uint64_t)key_block;
}

static inline uint64_t mega_draw_weights_high(int64_t row, int64_t head)
{
    return (uint64_t)row << 32 | (uint64_t)head;
}

/* The factor of one element: 0 or 1 / (1 - p). */
static inline double mega_draw(
    uint64_t key, uint64_t low, uint64_t high, int64_t channel, double p)
{
    uint32_t word[4];
    mega_philox(key, low, high, word);
    return word[channel & 3] >= mega_draw_threshold(p) ? 1 / (1 - p) : 0;
}

/* The factor of channel d at (b, t): `place` is 0 for FEATURES. */
double mega_dropout_factor(const struct mega_call *c, double p, enum mega_dropout_kind kind,
    int64_t b, int64_t t, int64_t d);

/* Keys that have no place (attention's prefix) count from here on. */
#define MEGA_DRAW_PREFIX ((int64_t)1 << 32)

/* Gumbel noise of attention's scores: words of a key of their own, counters as of its weights.
 * 23 bits, so that float32 has the number between 0 and 1 exactly. */
static inline uint64_t mega_draw_noise_key(const struct mega_call *c)
{
    return mega_hash_join(mega_draw_key(c), 0x6E6F697365ULL);
}

static inline double mega_draw_between(uint32_t word)
{
    return ((double)(word >> 9) + 0.5) / 8388608.0;
}

/* True if dropout acts at all in this call. */
static inline bool mega_dropout_acts(const struct mega_call *c, double p)
{
    return (c->mode & MEGA_RUN_TRAIN) && p > 0;
}

#endif
