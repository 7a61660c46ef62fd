/* What generators of examples are made of. */
#ifndef MEGA_KERNEL_EXAMPLE_PARTS_H
#define MEGA_KERNEL_EXAMPLE_PARTS_H

#include "base/rng.h"
#include "kernel/example.h"

/* An example in the making. Its arena has room: nothing here fails. */
struct mega_maker {
    struct mega_example *e;
    struct mega_arena *arena;
    struct mega_rng rng;
    int turn; /* what is left of the example's number for mega_make_choice */
    mega_dtype dtype;
    bool small;
};

/* 0 ... n-1: consecutive examples run through all combinations of the choices made. */
int mega_make_choice(struct mega_maker *m, int n);
/* One of the first n activations, inside a region: in bfloat16 one without a kink, before which
 * what is rounded inside may fall on either side. */
enum mega_act mega_make_act(struct mega_maker *m, int n);
/* 0 ... n-1 at random */
int64_t mega_make_below(struct mega_maker *m, int64_t n);
/* A size from 1 on: odd, prime, of whole vectors. */
int64_t mega_make_size(struct mega_maker *m);
/* The same, but few (numbers of rows of text); sometimes 0. */
int64_t mega_make_few(struct mega_maker *m);
/* Places of a row: up to some tiles; sometimes 0. */
int64_t mega_make_length(struct mega_maker *m);

/* How many rows of `width`: where they are narrow, enough for several groups of sums. */
int64_t mega_make_height(struct mega_maker *m, int64_t width);

/* Normal numbers in an activation: rows apart or not, any place in memory. */
mega_tensor *mega_make_values(
    struct mega_maker *m, int rank, const int64_t dim[], double mean, double deviation);
/* Normal numbers in a parameter: dense, F32 unless all is F64. */
mega_tensor *mega_make_param(
    struct mega_maker *m, int rank, const int64_t dim[], double mean, double deviation);
/* Rounds what is there to multiples of `step`: sums and products of few of them are exact. */
void mega_make_coarse(mega_tensor *t, double step);
/* Whole numbers lo ... hi, dense. */
mega_tensor *mega_make_numbers(
    struct mega_maker *m, int rank, const int64_t dim[], int32_t lo, int32_t hi);
/* 1 to 4 dimensions that end in `width`, into dim; returns the rank. */
int mega_make_shape(struct mega_maker *m, int64_t width, int64_t dim[MEGA_RANK]);

/* The op's attributes, zeroed. */
void *mega_make_attr(struct mega_maker *m);

/* Sets call.rows: B rows of T places, each feature there or not at random. */
enum {
    MEGA_ROWS_LEN = 1,
    MEGA_ROWS_REAL = 2,
    MEGA_ROWS_DOC = 4,
    MEGA_ROWS_NUMBER = 8,
    MEGA_ROWS_PLACE = 16 /* with fresh rows among them */
};
void mega_make_rows(
    struct mega_maker *m, int64_t B, int64_t T, unsigned features, int64_t most_place);
/* The same for x [B, T, D], whose dimensions are chosen too. */
void mega_make_text(struct mega_maker *m, unsigned features, int64_t dim[3]);

#define X(name) void mega_example_##name(struct mega_maker *m);
#include "op/ops.def"
#undef X

#endif
