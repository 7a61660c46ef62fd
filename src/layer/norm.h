/* Norms: every kind of the Mega specification (section 2.4), with or without affine parameters.
 */
#ifndef MEGA_LAYER_NORM_H
#define MEGA_LAYER_NORM_H

#include "graph/run.h"

enum mega_norm_type {
    MEGA_LAYERNORM,
    MEGA_SCALENORM,
    MEGA_RMSNORM,
    MEGA_BATCHNORM,
    MEGA_SYNCBATCHNORM
};
#define MEGA_NORM_CHOICES "layernorm|scalenorm|rmsnorm|batchnorm|syncbatchnorm"

#define MEGA_NORM_EPS 1e-5 /* of every norm in Mega */

struct mega_norm_options {
    enum mega_norm_type type;
    int64_t width;     /* D */
    bool affine, bias; /* bias: of the kinds that have one */
    double eps;        /* inside the root */
    bool unit_offset;  /* the gain is weight + 1, so that it starts, and decays, to 1 */
};

struct mega_norm {
    enum mega_norm_type type;
    bool unit_offset;
    double eps;
    mega_tensor *weight, *bias;                   /* NULL: not affine, or none of the kind */
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

#endif
