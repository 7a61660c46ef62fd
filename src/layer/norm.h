/* Norms: every kind of the Mega specification (section 2.4), with or without affine parameters,
 * and what variants of the Transformer have in their place. */
#ifndef MEGA_LAYER_NORM_H
#define MEGA_LAYER_NORM_H

#include "graph/run.h"

enum mega_norm_type {
    MEGA_LAYERNORM,
    MEGA_SCALENORM,
    MEGA_RMSNORM,
    MEGA_BATCHNORM,
    MEGA_SYNCBATCHNORM,
    MEGA_SIMPLE_RMSNORM, /* no gain (2307.14995) */
    MEGA_DYT,            /* w tanh(a x) + b (2503.10622) */
    MEGA_DERF,           /* w erf(a x + s) + b (2512.10938) */
    MEGA_ADALN,          /* layernorm(x) (1 + W_c c), of a condition c (2212.09748) */
    MEGA_ADA_RMSNORM
};
#define MEGA_NORM_CHOICES "layernorm|scalenorm|rmsnorm|batchnorm|syncbatchnorm"
#define MEGA_TRANSFORMER_NORM_CHOICES                                                          \
    MEGA_NORM_CHOICES "|simple_rmsnorm|dyt|derf|adaln|ada_rmsnorm"

#define MEGA_NORM_EPS 1e-5 /* of every norm in Mega */

struct mega_norm_options {
    enum mega_norm_type type;
    int64_t width;     /* D */
    bool affine, bias; /* bias: of the kinds that have one */
    double eps;        /* inside the root */
    bool unit_offset;  /* the gain is weight + 1, so that it starts, and decays, to 1 */
    bool guard;        /* eps bounds the length of x from below, in place of standing inside the
                          root (rmsnorm, scalenorm) */
    int64_t condition; /* channels of an adaptive norm's condition */
    double slope;      /* first a of dyt, derf; 0: 1, 0.5 */
};

struct mega_norm {
    enum mega_norm_type type;
    bool unit_offset, guard;
    double eps;
    mega_tensor *weight, *bias;                   /* NULL: not affine, or none of the kind */
    mega_tensor *slope, *shift;                   /* [1]: of dyt and derf, of derf */
    mega_tensor *condition;                       /* [D, Dc]: of adaptive norms */
    struct mega_cell *running_mean, *running_var; /* batch norms */
};

/* Declares "norm.weight", ... below the present prefix (the official modules wrap each norm
 * once). */
void mega_norm_build(
    mega_build *b, struct mega_norm *n, enum mega_norm_type type, int64_t width, bool affine);

/* The same with all options, as "weight" and "bias" below the present prefix. */
void mega_norm_declare(mega_build *b, struct mega_norm *n, const struct mega_norm_options *o);

/* x [.., D] -> [.., D]. A batch norm in training moves its running statistics. */
mega_tensor *mega_norm_run(mega_run *r, const struct mega_norm *n, mega_tensor *x);

/* The same with the condition of adaptive norms, [B, T, Dc]; others do not look at it. */
mega_tensor *mega_norm_run_with(
    mega_run *r, const struct mega_norm *n, mega_tensor *x, mega_tensor *condition);

static inline bool mega_norm_is_adaptive(int type)
{
    return type == MEGA_ADALN || type == MEGA_ADA_RMSNORM;
}

#endif
