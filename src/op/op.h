/* Ops and kernels: the contract between what a layer asks and what a machine does.
 *
 * An op has one contract and one plain reference, forward and backward. A kernel is a fast way
 * to compute it on one machine and is held to the reference by one conformance test. Adding an
 * op: one file src/op/<name>.c, one line in ops.def. */
#ifndef MEGA_OP_OP_H
#define MEGA_OP_OP_H

#include "base/work.h"
#include "tensor/rows.h"
#include "tensor/tensor.h"

enum { MEGA_IN = 24, MEGA_OUT = 6, MEGA_SAVED = 4 };

struct mega_now {
    uint64_t seed;
    int64_t step;
};

/* One use of an op; with a tape it is the record on it. */
struct mega_call {
    const struct mega_op *op;
    mega_tensor *in[MEGA_IN], *out[MEGA_OUT], *saved[MEGA_SAVED]; /* NULL: absent */
    const void *attr; /* the op's own struct (contracts.h), zeroed before filling: the memo
                         hashes its bytes */
    const struct mega_rows *rows; /* NULL where the op does not look along time */
    const struct mega_rows *keys; /* of attention: what its keys lie in, if not in `rows` */
    mega_dtype dtype;             /* the run's type of activations */
    bool rounded;  /* float32 in place of bfloat16 (kernel/wide.h): products may round */
    unsigned mode; /* MEGA_RUN_TRAIN ... of the run */
    struct mega_now now;
    uint64_t site; /* names the place of use for random numbers */
    const struct mega_kernel *kernel;
    void *prepared;
    struct mega_work *work;
};

/* The other direction: gradients of outputs are given, those of inputs wanted. */
struct mega_grads {
    const mega_tensor *out[MEGA_OUT]; /* NULL: nothing arrived, take zero */
    mega_tensor *in[MEGA_IN];         /* NULL: not wanted */
    uint32_t add;                     /* bit i: add to in[i], else write it */
    uint32_t
        touched; /* bit i: cleared if no element of this batch used in[i]: zeros were given */
};

struct mega_kernel {
    const char *name; /* "reference", "avx2" */
    /* c->kernel is the one that is asked; NULL: everything */
    bool (*accepts)(const struct mega_call *c, const char **why);
    void (*keep)(const struct mega_call *c,
        mega_tensor
            saved[MEGA_SAVED]); /* shapes of saved[] (rank -1: none); only under a tape;
                                   activations in the type of out[0], statistics in float32 */
    void *(*prepare)(const struct mega_call *c); /* once per memo entry; NULL: nothing */
    void (*forget)(void *prepared);
    void (*forward)(const struct mega_call *c);
    /* the same outputs once more, cheaply, from what saved[0] keeps (if it is there, in
     * float32): then nobody needs to keep them (graph/sweep.h). NULL: not so */
    void (*again)(const struct mega_call *c);
    void (*backward)(
        const struct mega_call *c, struct mega_grads *g); /* NULL: refuses under a tape */
    bool reads_out; /* the backward pass reads the numbers of out[] */
};

struct mega_op {
    const char *name;
    int n_in, n_out;
    uint32_t optional;     /* bit i: in[i] may be NULL */
    uint32_t optional_out; /* bit i: out[i] is made only when c->want has the bit; see
                              mega_op_wants */
    size_t attr_size;
    /* checks inputs; fills the shapes and types of out[] (rank -1: not made) */
    mega_status (*shape)(const struct mega_call *c, mega_tensor out[MEGA_OUT]);
    bool cheap; /* inside a block its outputs are made again for the backward pass, not kept */
    uint32_t unread; /* bit i: the backward pass does not need the numbers of in[i] */
    /* bit i: in[i] lies in rows [B,T,.] as all outputs do, and a row of these looks at the same
     * row alone (attention: at its window); the other inputs are read by all rows. 0: not so */
    uint32_t by_rows;
    bool by_position; /* a row also looks at where it stands in its document (position.h) */
    /* of the forward pass; *bytes holds every operand once and is changed only where less is
     * read. FLOPs are those of products and filters, what utilisation is counted by. NULL: none
     */
    void (*cost)(const struct mega_call *c, double *flops, double *bytes);
    struct mega_kernel
        reference; /* any type in, double inside; a region has none (forward NULL) */
};

/* Every op and region of ops.def, in order, ended by NULL. */
extern const struct mega_op *const mega_ops[];
const struct mega_op *mega_op_find(const char *name); /* or NULL */

enum {
    MEGA_RUN_TRAIN = 1,
    MEGA_RUN_GRAD = 2,
    MEGA_RUN_PLAIN = 4,
    MEGA_RUN_CHECK = 8,
    MEGA_RUN_DRY = 16
};

/* ---- for those who write ops and kernels ---- */

/* An output like `t` in shape, dense, of type `dtype`. */
mega_tensor mega_like(const mega_tensor *t, mega_dtype dtype);
mega_tensor mega_shaped(
    mega_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3);
mega_tensor mega_absent(void);

/* The type of statistics, states, scores summed over a row, and losses: float32, in a run of
 * float64 that. */
mega_dtype mega_wide_type(const struct mega_call *c);

/* An output like `x`, an activation: of the run's type, but float32 where x is float32 in a run
 * of bfloat16, so that the few numbers that a pool made stay exact to the loss. */
mega_tensor mega_activation(const struct mega_call *c, const mega_tensor *x);

/* "linear: w is [3, 4] F32, expected ..." */
mega_status mega_op_refuse(const struct mega_call *c, const char *what,
    const mega_tensor *found, const char *expected, ...) MEGA_PRINTF(4, 5);

/* References add to every wanted gradient: this first zeroes those that are to be written. */
void mega_grads_begin(struct mega_grads *g);

static inline void mega_grad_add(
    struct mega_grads *g, int i, int64_t row, int64_t column, double value)
{
    if (g->in[i]) mega_add_to(g->in[i], row, column, value);
}

static inline double mega_grad_out(
    const struct mega_grads *g, int i, int64_t row, int64_t column)
{
    return g->out[i] ? mega_get(g->out[i], row, column) : 0;
}

/* FLOPs and least bytes of a call: every operand read or written once, one that is given twice
 * too, unless the op knows better. */
void mega_op_cost(const struct mega_call *c, double *flops, double *bytes);

/* The same for the backward pass. A product comes back as two of its size. Read once: the
 * outputs' gradients and the inputs that the op needs; written once: the gradients that are
 * wanted. */
void mega_op_cost_back(const struct mega_call *c, double *flops, double *bytes);

#endif
