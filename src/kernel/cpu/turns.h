/* Sines and cosines of one position after the other: pair t turns by its frequency w_t a
 * position. A step is a turn in double, exact again every so often and after a jump. */
#ifndef MEGA_KERNEL_CPU_TURNS_H
#define MEGA_KERNEL_CPU_TURNS_H

#include "base/arena.h"
#include "op/position.h"

struct turns {
    int64_t pairs, position, left; /* steps left until the angles are computed anew */
    double *w, *cos, *sin, *step_cos, *step_sin;
};

/* Frequencies of `dims` channels, divided by `factor`. */
static inline struct turns turns_of(
    struct mega_arena *scratch, int64_t dims, double base, double factor)
{
    int64_t n = dims / 2;
    struct turns s = { .pairs = n };
    s.w = mega_arena_get(scratch, 5 * (size_t)n * sizeof(double) + 1);
    s.cos = s.w + n;
    s.sin = s.cos + n;
    s.step_cos = s.sin + n;
    s.step_sin = s.step_cos + n;
    for (int64_t t = 0; t < n; t++) {
        s.w[t] = mega_frequency(t, dims, base) / factor;
        s.step_cos[t] = cos(s.w[t]);
        s.step_sin[t] = sin(s.w[t]);
    }
    return s;
}

static inline void turns_anew(struct turns *s, int64_t position)
{
    enum { STEPS = 64 };
    s->left = STEPS;
    for (int64_t t = 0; t < s->pairs; t++) {
        s->cos[t] = cos((double)position * s->w[t]);
        s->sin[t] = sin((double)position * s->w[t]);
    }
}

/* cos and sin become those of `position`. */
static inline void turns_to(struct turns *s, int64_t position)
{
    if (s->left && position == s->position) return;
    if (!s->left || position != s->position + 1) {
        turns_anew(s, position);
    } else {
        s->left--;
        for (int64_t t = 0; t < s->pairs; t++) {
            double c = s->cos[t], d = s->sin[t];
            s->cos[t] = c * s->step_cos[t] - d * s->step_sin[t];
            s->sin[t] = d * s->step_cos[t] + c * s->step_sin[t];
        }
    }
    s->position = position;
}

#endif
