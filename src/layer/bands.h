/* A vocabulary in bands, the frequent words first: what adaptive input and adaptive softmax
 * have in common. */
#ifndef MEGA_LAYER_BANDS_H
#define MEGA_LAYER_BANDS_H

#include "graph/run.h"
#include "op/contracts.h"

struct mega_bands_options {
    int64_t vocabulary;         /* V */
    int64_t cutoffs;            /* how many are given */
    int64_t cutoff[MEGA_BANDS]; /* where bands end, rising; V is added if it is not the last */
    double factor;              /* by which each band is narrower than the one before (4) */
};

struct mega_bands {
    int64_t n, end[MEGA_BANDS];
    double factor;
};

/* Fails b where the cutoffs do not rise from 1 to V at most, or are too many. */
void mega_bands_build(mega_build *b, struct mega_bands *s, const struct mega_bands_options *o);

static inline int64_t mega_bands_first(const struct mega_bands *s, int64_t i)
{
    return i ? s->end[i - 1] : 0;
}

static inline int64_t mega_bands_size(const struct mega_bands *s, int64_t i)
{
    return s->end[i] - mega_bands_first(s, i);
}

/* Width of band i of a whole of `width`: floor(width / factor^i). */
int64_t mega_bands_width(const struct mega_bands *s, int64_t width, int64_t i);

/* Numbers of ids in band i, or of form MEGA_BAND_... (op band); `left_out`: -1: none. */
mega_tensor *mega_bands_run(
    mega_run *r, const struct mega_bands *s, mega_tensor *ids, int64_t form, int64_t left_out);

#endif
