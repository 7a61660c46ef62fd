/* Sampling: from a row of logits to the next token.
 *
 * Filters are applied in this order, each to what those before it left:
 *
 *   1. repetition penalty: the logit of a token that the text holds already, once for each such
 *      token: divided by the penalty where positive, multiplied where negative
 *   2. temperature: logits are divided by it; at 0 the token is the largest logit's, the first
 *      of equals, whatever the filters below say
 *   3. top-k: the k likeliest tokens (of equals those of smaller number)
 *   4. top-p: the likeliest tokens, while the probability of those before is below p
 *   5. min-p: tokens at least min-p times as likely as the likeliest
 *
 * and one is drawn from what is left by its probability. A bound holds to within one part in a
 * million, the rounding of logits in float32. The draw is a function of seed, row and step
 * alone. Nothing is sorted and nothing allocated for a token. */
#ifndef MEGA_INFER_SAMPLER_H
#define MEGA_INFER_SAMPLER_H

#include "base/option.h"
#include "kernel/cpu/rows.h"

struct mega_sampling {
    double temperature;        /* 0: always the likeliest */
    int64_t top_k;             /* 0: off */
    double top_p;              /* 1: off */
    double min_p;              /* 0: off */
    double repetition_penalty; /* 1: off */
    int64_t seed;
};

/* The lines of an option table for a struct mega_sampling at offset `at`. */
#define MEGA_SAMPLING_OPTIONS(at)                                                              \
    { "temperature", MEGA_OPTION_REAL, (at) + offsetof(struct mega_sampling, temperature),     \
        "1", 0, 1e6, NULL, "T",                                                                \
        "divides the logits; 0: always the likeliest token, whatever the filters say", 0 },    \
        { "top-k", MEGA_OPTION_INT, (at) + offsetof(struct mega_sampling, top_k), "0", 0,      \
            1 << 30, NULL, "K", "only the K likeliest tokens; 0: all", 0 },                    \
        { "top-p", MEGA_OPTION_REAL, (at) + offsetof(struct mega_sampling, top_p), "1", 0, 1,  \
            NULL, "P",                                                                         \
            "then only the likeliest tokens, while those before have less than P together",    \
            0 },                                                                               \
        { "min-p", MEGA_OPTION_REAL, (at) + offsetof(struct mega_sampling, min_p), "0", 0, 1,  \
            NULL, "P", "then only tokens at least P times as likely as the likeliest", 0 },    \
        { "repetition-penalty", MEGA_OPTION_REAL,                                              \
            (at) + offsetof(struct mega_sampling, repetition_penalty), "1", 1e-6, 1e6, NULL,   \
            "R", "divides the positive logits of tokens in the text, multiplies the negative", \
            0 },                                                                               \
    {                                                                                          \
        "seed", MEGA_OPTION_INT, (at) + offsetof(struct mega_sampling, seed), "1", 0, 0, NULL, \
            "N", "of the draws: equal seeds give equal text", 0                                \
    }

/* What stands in the options where nothing is given: temperature 1, no filter, seed 1. */
struct mega_sampling mega_sampling_plain(void);

/* Refuses values that cannot be, by name. */
mega_status mega_sampling_check(const struct mega_sampling *s);

/* Room for one row of logits; not shared between threads. */
struct mega_sampler {
    struct mega_sampling how;
    int64_t n; /* tokens of the vocabulary, V */
    const struct mega_cpu_rows *rows;
    float *logit, *weight; /* [V] */
    double *part;          /* weights of the blocks of the vocabulary */
};
mega_status mega_sampler_init(struct mega_sampler *s, const struct mega_sampling *how,
    int64_t vocabulary, enum mega_isa isa);
void mega_sampler_done(struct mega_sampler *s);

/* The tokens that a text holds, a bit each. */
static inline size_t mega_seen_words(int64_t vocabulary)
{
    return (size_t)(vocabulary + 63) / 64;
}
static inline void mega_seen_add(uint64_t *seen, int32_t id)
{
    seen[id / 64] |= (uint64_t)1 << id % 64;
}

/* The next token of row `row` at step `step` of its text. `logits` [V]; `seen` may be NULL, as
 * if the text were empty. Refuses logits that are not numbers. */
mega_status mega_sampler_choose(struct mega_sampler *s, const float *logits,
    const uint64_t *seen, uint64_t row, uint64_t step, int32_t *id);

/* The probabilities from which it is drawn, [V]; at temperature 0 all of it is the one token's.
 */
mega_status mega_sampler_weigh(
    struct mega_sampler *s, const float *logits, const uint64_t *seen, double *probability);

#endif
