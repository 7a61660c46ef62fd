/* Parameters: declared first, laid out together, known by their official names.
 *
 * All parameters of a model lie in flat float32 arrays with equal offsets: value, gradient,
 * first and second moment. Clipping, AdamW and hashing are passes over ranges of them. */
#ifndef MEGA_GRAPH_PARAM_H
#define MEGA_GRAPH_PARAM_H

#include "base/arena.h"
#include "tensor/tensor.h"

enum mega_init_kind {
    MEGA_INIT_CONSTANT,  /* a */
    MEGA_INIT_NORMAL,    /* mean a, standard deviation b */
    MEGA_INIT_ALTERNATE, /* mean +1 for even, -1 for odd places of the second dimension,
                            standard deviation b (EMA beta) */
    MEGA_INIT_XAVIER,    /* uniform within sqrt(6 / (rows + columns)) */
    MEGA_INIT_UNIFORM,   /* between a - b and a + b */
    MEGA_INIT_FAN_IN,    /* normal, standard deviation b / sqrt(columns) */
    MEGA_INIT_TRUNCATED, /* normal, standard deviation b, drawn again beyond -a ... a */
    MEGA_INIT_REAL,      /* complex numbers [.., 2]: real parts normal with b, imaginary 0 */
    MEGA_INIT_ANGLES,    /* logits of exp(-m log(D) / D), m = 1 ... D numbers, in any order */
    MEGA_INIT_PADDED,    /* mean 0, standard deviation b, but row a is 0 */
    MEGA_INIT_IDENTITY,  /* 1 where row and column are equal, else 0 */
    MEGA_INIT_STREAMS, /* [S, R + S], R = b + 1: 1 in row a of the first R columns, the identity
                          behind them */
    MEGA_INIT_SLOPES   /* [H, 1] or [H, 2]: those of ALiBi for the first a heads (distance.h) */
};
struct mega_init {
    enum mega_init_kind kind;
    double a, b;
};

struct mega_param {
    mega_tensor value, gradient; /* over the flat arrays */
    const char *name;
    struct mega_init init;
    int64_t offset, count; /* in the flat arrays */
    uint64_t version; /* moved by updates and loads: derived forms carry the version that they
                         were made from */
    bool touched;     /* a gradient came since the last update */
    int64_t steps;    /* updates that it took part in */
    struct mega_param *next;
};

enum mega_cell_kind {
    MEGA_CELL_MODEL, /* a buffer: one value, saved with the model */
    MEGA_CELL_ROW,   /* a state: one value for each row of a stream, replaced by each run */
    MEGA_CELL_LOG    /* a state: keys or values; place p lies at p modulo its length */
};

/* A named value that outlives a run. */
struct mega_cell {
    const char *name;
    enum mega_cell_kind kind;
    mega_dtype dtype;
    int rank;
    int64_t dim[MEGA_RANK]; /* of one row (ROW), of one place (LOG) */
    int64_t window; /* LOG: places that a query may look back; 0: all that the stream has room
                       for */
    bool whole;     /* LOG: a run gives all places anew, not the new ones alone */
    double fresh;
    bool statistics; /* ROW: a count, mean or variance of what was read, by which a norm goes */
    int index;
    mega_tensor value, next_value; /* MODEL only */
    struct mega_cell *next;        /* in the store */
    struct mega_cell *next_set;    /* among those set by the present run */
    bool set;
};

/* Projections of queries and keys that an update may make too large (clip.c). */
struct mega_clip {
    mega_tensor *q, *q_bias, *k, *k_bias; /* biases may be NULL */
    int64_t heads, groups;
    double most; /* score of a head */
    float *peak; /* [heads] the largest since the last update: whoever trains fills it */
    struct mega_clip *next;
};

/* All that a model keeps: parameters and cells. */
struct mega_store {
    struct mega_arena names; /* descriptions */
    struct mega_arena keep;  /* numbers */
    struct mega_param *first, *last;
    struct mega_cell *first_cell, *last_cell;
    struct mega_clip *first_clip;
    int n_params, n_cells;
    int64_t count;   /* numbers in each flat array, with the gaps of alignment */
    int64_t numbers; /* trainable numbers */
    int64_t lead;    /* places that a stream's rows begin with beside their tokens */
    float *value, *gradient, *moment1, *moment2;
};

/* While a model is declared: where we are in its names. */
typedef struct mega_build {
    struct mega_store *store;
    mega_status status; /* the first failure; later declarations do nothing */
    char prefix[256];
} mega_build;

mega_status mega_store_init(struct mega_store *s);
void mega_store_done(struct mega_store *s);

/* Names declared until the matching leave get "<name>." in front. enter returns what leave
 * wants back. */
size_t mega_build_enter(mega_build *b, const char *format, ...) MEGA_PRINTF(2, 3);
void mega_build_leave(mega_build *b, size_t entered);

/* Declares a parameter; its value's data is NULL until the layout. NULL after a failure.
 * Borrowed from the store. */
mega_tensor *mega_param_add(
    mega_build *b, const char *name, struct mega_init init, int rank, const int64_t dim[]);
struct mega_cell *mega_cell_add(mega_build *b, const char *name, enum mega_cell_kind kind,
    mega_dtype t, int rank, const int64_t dim[], double fresh);

/* Gives memory to all that was declared; gradients and moments only `for_training`. Values are
 * not initialised. */
mega_status mega_store_lay_out(struct mega_store *s, bool for_training);

/* Initial values, a function of (seed, name) alone; cells get their fresh value. */
void mega_store_fill(struct mega_store *s, uint64_t seed);

struct mega_param *mega_store_find(const struct mega_store *s, const char *name); /* or NULL */
struct mega_cell *mega_store_find_cell(
    const struct mega_store *s, const char *name); /* or NULL */

/* Heads whose scores have a bound. After an update: shrinks those beyond it, and forgets what
 * was seen. */
void mega_clip_add(mega_build *b, const struct mega_clip *clip);
void mega_store_clip_heads(struct mega_store *s);

/* A hash of all parameters' and buffers' bytes with their names. */
uint64_t mega_store_hash(const struct mega_store *s);

#endif
