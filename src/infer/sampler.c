#include "infer/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/rng.h"

enum { BLOCK = 256 }; /* tokens whose weights are summed together */

/* of a bound: what the rounding of logits may move a probability by */
static const double slack = 1e-6;

struct mega_sampling mega_sampling_plain(void)
{
    return (struct mega_sampling){
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1
    };
}

mega_status mega_sampling_check(const struct mega_sampling *s)
{
    if (!(s->temperature >= 0) || isinf(s->temperature))
        return mega_fail(
            MEGA_BAD_ARGUMENT, "temperature is %g, expected 0 or more", s->temperature);
    if (s->top_k < 0)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "top-k is %lld, expected 0 (off) or more", (long long)s->top_k);
    if (!(s->top_p >= 0 && s->top_p <= 1))
        return mega_fail(MEGA_BAD_ARGUMENT, "top-p is %g, expected 0 ... 1", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return mega_fail(MEGA_BAD_ARGUMENT, "min-p is %g, expected 0 ... 1", s->min_p);
    if (!(s->repetition_penalty > 0) || isinf(s->repetition_penalty))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the repetition penalty is %g, expected more than 0 (1 is off)",
            s->repetition_penalty);
    return MEGA_OK;
}

mega_status mega_sampler_init(struct mega_sampler *s, const struct mega_sampling *how,
    int64_t vocabulary, enum mega_isa isa)
{
    *s = (struct mega_sampler){ .how = *how, .n = vocabulary, .rows = mega_cpu_rows(isa) };
    if (vocabulary < 1)
        return mega_fail(MEGA_BAD_ARGUMENT, "a vocabulary of %lld tokens, expected at least 1",
            (long long)vocabulary);
    MEGA_TRY(mega_sampling_check(how));
    size_t blocks = (size_t)(vocabulary + BLOCK - 1) / BLOCK;
    s->logit = malloc((size_t)vocabulary * sizeof *s->logit);
    s->weight = malloc((size_t)vocabulary * sizeof *s->weight);
    s->part = malloc(blocks * sizeof *s->part);
    if (s->logit && s->weight && s->part) return MEGA_OK;
    mega_sampler_done(s);
    return mega_fail(
        MEGA_NO_MEMORY, "no memory to sample from %lld tokens", (long long)vocabulary);
}

void mega_sampler_done(struct mega_sampler *s)
{
    free(s->logit);
    free(s->weight);
    free(s->part);
    *s = (struct mega_sampler){ 0 };
}

/* ---- logits ---- */

/* The logits with the penalty: their own place, or a copy. */
static const float *penalised(struct mega_sampler *s, const float *logits, const uint64_t *seen)
{
    float penalty = (float)s->how.repetition_penalty;
    if (!seen || penalty == 1) return logits;
    memcpy(s->logit, logits, (size_t)s->n * sizeof *logits);
    for (size_t w = 0, words = mega_seen_words(s->n); w < words; w++)
        for (uint64_t left = seen[w]; left; left &= left - 1) {
            float *x = &s->logit[w * 64 + (size_t)__builtin_ctzll(left)];
            *x = *x > 0 ? *x / penalty : *x * penalty;
        }
    return s->logit;
}

/* the largest logit; refuses a row without one, and one with a NaN or plus infinity */
static mega_status largest(const struct mega_sampler *s, const float *x, float *most)
{
    *most = s->rows->most(x, s->n);
    /* a NaN stays in a sum; minus infinity, a token that cannot be, is fine */
    if (isfinite(*most) && !isnan(s->rows->sum(x, s->n))) return MEGA_OK;
    for (int64_t i = 0; i < s->n; i++)
        if (isnan(x[i]) || x[i] == INFINITY)
            return mega_fail(MEGA_NOT_FINITE,
                "the logit of token %lld is %g: the model's numbers are out of range",
                (long long)i, (double)x[i]);
    if (isfinite(*most)) return MEGA_OK; /* the sum alone ran over */
    return mega_fail(MEGA_NOT_FINITE, "no token can come next: every logit is minus infinity");
}

static int32_t first_at(const float *x, float most)
{
    int32_t i = 0;
    while (x[i] != most) i++;
    return i;
}

/* ---- filters ----
 *
 * They see s->logit, scaled so that the largest is 0, and s->weight = exp of it; a token that
 * is out has minus infinity and 0. So -logit >= 0, and its bits as a number are in the same
 * order as it: bins of leading bits find a bound in three passes, whatever the distribution. */

static uint32_t key_of(float logit)
{
    float distance = fabsf(logit);
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return bits;
}

static void drop(struct mega_sampler *s, int64_t i)
{
    s->logit[i] = -INFINITY;
    s->weight[i] = 0;
}

enum { BINS = 2048 };

struct bins {
    double mass[BINS]; /* weights, or counts */
    double before;     /* of what lies in front of the bins */
};

/* the bin in which the sum from the front reaches `target`; the last one with anything in it if
 * none does. bins->before moves on to that bin. */
static uint32_t crossing(struct bins *b, double target)
{
    uint32_t last = 0;
    double before = b->before, sum = before;
    for (uint32_t i = 0; i < BINS; i++) {
        if (b->mass[i] <= 0) continue;
        last = i;
        before = sum;
        sum += b->mass[i];
        if (sum >= target) break;
    }
    b->before = before;
    return last;
}

/* Keeps the likeliest tokens, while those before (counted, or by weight) come to less than
 * `target`; of equals the first. */
static void keep_likeliest(struct mega_sampler *s, bool counted, double target)
{
    static const int shifts[] = { 21, 10, 0 }; /* 11 bits, 11, 10 */
    struct bins b = { .before = 0 };
    uint32_t bound = 0;
    for (int level = 0; level < 3; level++) {
        int shift = shifts[level], above = level ? shifts[level - 1] : 32;
        uint32_t mask = level == 2 ? BINS / 2 - 1 : BINS - 1;
        memset(b.mass, 0, sizeof b.mass);
        for (int64_t i = 0; i < s->n; i++) {
            uint32_t key = key_of(s->logit[i]);
            if (level && key >> above != bound >> above) continue;
            b.mass[key >> shift & mask] += counted ? 1 : (double)s->weight[i];
        }
        bound |= crossing(&b, target) << shift;
    }
    for (int64_t i = 0; i < s->n; i++) {
        uint32_t key = key_of(s->logit[i]);
        if (key < bound) continue;
        if (key > bound || b.before >= target)
            drop(s, i);
        else
            b.before += counted ? 1 : (double)s->weight[i];
    }
}

/* sums of the blocks, and of all */
static double total(struct mega_sampler *s)
{
    double sum = 0;
    for (int64_t i = 0, k = 0; i < s->n; i += BLOCK, k++) {
        int64_t n = s->n - i < BLOCK ? s->n - i : BLOCK;
        s->part[k] = (double)s->rows->sum(s->weight + i, n);
        sum += s->part[k];
    }
    return sum;
}

static void filter(struct mega_sampler *s)
{
    const struct mega_sampling *how = &s->how;
    if (how->top_k && how->top_k < s->n) keep_likeliest(s, true, (double)how->top_k);
    if (how->top_p < 1) {
        /* less the slack, but always the first token */
        double target = total(s) * (how->top_p - slack);
        keep_likeliest(s, false, target > 0 ? target : 1e-300);
    }
    float least = how->min_p > 0 ? (float)(log(how->min_p) - slack) : -INFINITY;
    for (int64_t i = 0; how->min_p > 0 && i < s->n; i++)
        if (s->logit[i] < least) drop(s, i);
}

/* s->weight of every token; returns their sum */
static double weigh(struct mega_sampler *s, const float *logits, float most)
{
    double inverse = 1 / s->how.temperature;
    float by = (float)(inverse < 1e30 ? inverse : 1e30);
    for (int64_t i = 0; i < s->n; i++) s->logit[i] = (logits[i] - most) * by;
    s->rows->exp(s->weight, s->logit, s->n);
    filter(s);
    return total(s);
}

/* the token at which the sum of weights passes u of their sum */
static int32_t pass(const struct mega_sampler *s, double u, double sum)
{
    double left = u * sum;
    int64_t block = 0, blocks = (s->n + BLOCK - 1) / BLOCK, last = 0;
    while (block + 1 < blocks && left >= s->part[block]) left -= s->part[block++];
    for (int64_t i = block * BLOCK; i < s->n; i++) {
        if (s->weight[i] <= 0) continue;
        last = i;
        left -= (double)s->weight[i];
        if (left < 0) break;
    }
    /* rounding may lead past the last one that can be */
    while (s->weight[last] <= 0) last = last ? last - 1 : s->n - 1;
    return (int32_t)last;
}

mega_status mega_sampler_choose(struct mega_sampler *s, const float *logits,
    const uint64_t *seen, uint64_t row, uint64_t step, int32_t *id)
{
    float most;
    const float *x = penalised(s, logits, seen);
    MEGA_TRY(largest(s, x, &most));
    if (s->how.temperature == 0) {
        *id = first_at(x, most);
        return MEGA_OK;
    }
    uint32_t word[4];
    uint64_t key = mega_hash_join((uint64_t)s->how.seed, mega_hash_text("infer.sampler"));
    mega_philox(key, step, row, word);
    double u = (double)(((uint64_t)word[0] << 21) ^ (word[1] >> 11)) * 0x1p-53;
    double sum = weigh(s, x, most);
    *id = pass(s, u, sum);
    return MEGA_OK;
}

mega_status mega_sampler_weigh(
    struct mega_sampler *s, const float *logits, const uint64_t *seen, double *probability)
{
    float most;
    const float *x = penalised(s, logits, seen);
    MEGA_TRY(largest(s, x, &most));
    if (s->how.temperature == 0) {
        int32_t id = first_at(x, most);
        for (int64_t i = 0; i < s->n; i++) probability[i] = i == id;
        return MEGA_OK;
    }
    double sum = weigh(s, x, most);
    for (int64_t i = 0; i < s->n; i++) probability[i] = (double)s->weight[i] / sum;
    return MEGA_OK;
}
