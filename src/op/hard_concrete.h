/* The Hard Concrete distribution (Louizos, Welling and Kingma, 2018), as formulas: a logistic
 * variable, squeezed by a sigmoid, stretched to low ... high, cut to 0 ... 1. So that a gate
 * can be exactly 0 and exactly 1, low < 0 and high > 1. */
#ifndef MEGA_OP_HARD_CONCRETE_H
#define MEGA_OP_HARD_CONCRETE_H

#include <math.h>

#include "op/contracts.h"

/* Number i of a tensor of any shape. */
static inline double mega_hard_at(const mega_tensor *t, int64_t i)
{
    return mega_get(t, i / mega_width(t), i % mega_width(t));
}

static inline double mega_hard_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double mega_hard_cut(double t)
{
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* A gate before it is cut: with the noise u of (0, 1); without, where there is no temperature
 * either. *slope: its derivative with respect to a. */
static inline double mega_hard_stretch(
    const struct mega_hard_concrete *h, double a, const double *u, double *slope)
{
    double heat = u ? h->temperature : 1, noise = u ? log(*u) - log1p(-*u) : 0;
    double s = mega_hard_sigmoid((noise + a) / heat), range = h->high - h->low;
    *slope = range * s * (1 - s) / heat;
    return s * range + h->low;
}

/* The gate of evaluation. */
static inline double mega_hard_gate(const struct mega_hard_concrete *h, double a)
{
    double slope;
    return mega_hard_cut(mega_hard_stretch(h, a, NULL, &slope));
}

/* The probabilities that a gate with noise is above 0, and that it is 1. */
static inline double mega_hard_open(const struct mega_hard_concrete *h, double a)
{
    return mega_hard_sigmoid(a - h->temperature * log(-h->low / h->high));
}

static inline double mega_hard_full(const struct mega_hard_concrete *h, double a)
{
    return mega_hard_sigmoid(a - h->temperature * log((1 - h->low) / (h->high - 1)));
}

/* Refuses limits that cannot close or open, by name. */
mega_status mega_hard_concrete_check(const struct mega_hard_concrete *h);

#endif
