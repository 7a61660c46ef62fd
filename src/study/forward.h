/* A Transformer's forward pass in double, with all that is inside kept: what relevance goes
 * back through. It begins where the model has embedded a text and knows plain attention, mlps
 * and norms; what it does not know shows in its logits, which are held against those of the
 * model. */
#ifndef MEGA_STUDY_FORWARD_H
#define MEGA_STUDY_FORWARD_H

#include "task/batch.h"

/* y = w x + b, copied to double; w [n_out, n_in]. */
struct mega_study_linear {
    int64_t n_in, n_out;
    double *w, *b; /* b: NULL if there is none */
};

/* A norm; w is NULL where there is no norm, g and b where they are absent. */
struct mega_study_norm {
    bool there, rms;
    double eps, *g, *b;
};

/* One sublayer: what it is made of, and [T, .] of what went through. */
struct mega_study_sublayer {
    const struct mega_attention *attention; /* the branch is one of these */
    const struct mega_mlp *mlp;
    struct mega_study_norm pre, post;
    struct mega_study_linear q, k, v, o;     /* attention */
    struct mega_study_linear up, gate, down; /* mlp; gate.w NULL: none */
    int32_t *group;                          /* attention: [heads] whose keys each reads */
    double *x, *z, *y, *sum, *out;        /* stream, branch's input and output, x + y, stream */
    double *qx, *kx, *vx, *a, *c, *gated; /* a [heads, T, T]; c [T, heads dv], times gates */
    double *hidden, *rise;                /* mlp: what down reads; up's output */
};

struct mega_study_forward {
    int64_t T, D;
    struct mega_study_sublayer *sub;
    int64_t subs;
    struct mega_study_norm final;
    double *x, *features; /* [T, D] before and after the final norm */
};

/* Of a language model, masked or not, or classifier that is a Transformer, or a classifier with
 * mixer attention. Refuses what it does not know, by name. */
mega_status mega_study_forward_new(struct mega_study_forward *f, const mega_model *m);
void mega_study_forward_free(struct mega_study_forward *f);

/* Runs over one embedded text [T, D]. */
mega_status mega_study_forward_run(struct mega_study_forward *f, const float *x, int64_t T);

/* y = w x + b of one row. */
void mega_study_linear_apply(const struct mega_study_linear *l, const double *x, double *y);
/* A copy; `b` NULL: none. false: no memory. w NULL leaves it as it is. */
bool mega_study_linear_take(
    struct mega_study_linear *l, const mega_tensor *w, const mega_tensor *b);
void mega_study_linear_free(struct mega_study_linear *l);

/* Norms alike, of rows x [T, D]; `there` false: the identity. */
void mega_study_norm_apply(
    const struct mega_study_norm *n, const double *x, double *y, int64_t T, int64_t D);
bool mega_study_norm_take(struct mega_study_norm *n, const struct mega_norm *from, bool there);
void mega_study_norm_free(struct mega_study_norm *n);

/* Turns d numbers of a head by a place's position: a mega_relevance_core's `turn`, of an
 * attention. */
void mega_study_turn(const void *attention, int64_t place, bool back, double *x);

#endif
