/* Adam with decoupled weight decay, and clipping, over flat arrays.
 *
 * Values, gradients and both moments are float32 arrays with equal offsets, cut into spans: one
 * a parameter name. Update s = 1, 2, ... of a span:
 *
 *   m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2      w <- w - lr decay w
 *   w <- w - lr sqrt(1 - b2^s) / (1 - b1^s) * m / (sqrt(v) + eps)              fairseq
 *   w <- w - lr / (1 - b1^s) * m / (sqrt(v / (1 - b2^s)) + eps)                pytorch
 *
 * The two differ in where eps stands. Results do not depend on the number of threads. */
#ifndef MEGA_OPTIM_ADAM_H
#define MEGA_OPTIM_ADAM_H

#include "base/option.h"
#include "optim/grad_norm.h"

enum mega_eps_rule { MEGA_EPS_FAIRSEQ, MEGA_EPS_PYTORCH };

struct mega_adam {
    double beta1, beta2, eps;
    int eps_rule; /* enum mega_eps_rule */
    double weight_decay;
    double clip_norm; /* 0: no clipping */
    int clip_mode;    /* enum mega_clip_mode */
};

/* The recipe's keys. */
extern const struct mega_option mega_adam_options[];

/* The arrays of mega_adam_step. */
struct mega_flat {
    float *value, *grad, *m, *v;
};

/* One update in one pass: multiplies the gradient with `scale` and with min(1, clip / (norm +
 * 1e-6)), moves moments and values, zeroes the gradient and `touched`, counts the step. `norm`
 * is what mega_grad_norm gave for the same scale and mode; without clipping it is not read. */
void mega_adam_step(struct mega_work *work, const struct mega_adam *adam, double lr,
    double scale, double norm, struct mega_flat flat, struct mega_span *span, int n_spans);

#endif
