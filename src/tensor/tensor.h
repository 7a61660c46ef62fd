/* Tensors: a type, a shape, and where the numbers lie.
 *
 * A tensor is a stack of rows: the last dimension is contiguous, and one stride leads from row
 * to row. That is all the freedom that views need here (columns of a packed projection, heads
 * inside the last dimension), and every kernel can take it. Layers see shapes; only ops look at
 * data. */
#ifndef MEGA_TENSOR_TENSOR_H
#define MEGA_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/half.h"

enum { MEGA_RANK = 4 };

typedef enum mega_dtype {
    MEGA_F32,
    MEGA_F64,
    MEGA_BF16,
    MEGA_F16,
    MEGA_I32,
    MEGA_I64,
    MEGA_U8
} mega_dtype;

size_t mega_dtype_size(mega_dtype t);      /* bytes of one element */
const char *mega_dtype_name(mega_dtype t); /* as safetensors writes it: "F32", "I64" */
bool mega_dtype_find(const char *name, mega_dtype *out);

/* Where a tensor lives. Kernels are asked in the order of the device's rooms. */
struct mega_device {
    const char *name; /* "cpu" */
    int index;
};
extern const struct mega_device mega_cpu;

struct mega_param;

typedef struct mega_tensor mega_tensor;
struct mega_tensor {
    mega_dtype dtype;
    int rank; /* 0 to 4; rank 0 is one number */
    int64_t dim[MEGA_RANK];
    int64_t stride; /* elements from one row to the next; dim[rank - 1] if dense */
    void *data;     /* NULL in a dry run */
    const struct mega_device *device;

    mega_tensor *base;        /* a view: of which tensor */
    int64_t offset;           /* a view: elements from the base's start */
    mega_tensor *grad;        /* NULL until a gradient is due */
    struct mega_param *param; /* set if it is the value of a parameter */
    bool wants_grad;
    bool filled;  /* (of a gradient) something has arrived */
    bool waits;   /* has no numbers for all rows (graph/sweep.h) */
    bool passing; /* its numbers end with their block; the backward pass makes them again */
};

/* Describes a dense tensor over `data`, which the caller keeps. */
mega_tensor mega_tensor_over(void *data, mega_dtype t, int rank, const int64_t dim[]);

/* Size of dimension i; negative i counts from the end. 0 for NULL or a dimension that is not
 * there. */
int64_t mega_dim(const mega_tensor *t, int i);

/* A tensor as a matrix: [rows, width] with `stride` between rows. Rank 0 is 1 x 1. */
int64_t mega_width(const mega_tensor *t);
int64_t mega_height(const mega_tensor *t);
int64_t mega_count(const mega_tensor *t); /* elements */
size_t mega_size(const mega_tensor *t);   /* bytes, as a dense tensor */
bool mega_is_dense(const mega_tensor *t);
bool mega_same_shape(const mega_tensor *a, const mega_tensor *b);

/* "[2, 128, 64] F32" into `out` of at least 96 bytes; returns it. */
char *mega_tensor_print(const mega_tensor *t, char *out);

/* Address of row r. */
static inline void *mega_row(const mega_tensor *t, int64_t r)
{
    return (char *)t->data + (size_t)(r * t->stride) * mega_dtype_size(t->dtype);
}

/* One element as a double: references read any type and compute in double. Integers are exact
 * up to 2^53. */
double mega_get(const mega_tensor *t, int64_t row, int64_t column);
void mega_put(mega_tensor *t, int64_t row, int64_t column, double value);
static inline void mega_add_to(mega_tensor *t, int64_t row, int64_t column, double value)
{
    mega_put(t, row, column, mega_get(t, row, column) + value);
}

/* Copies any type and stride into any other of the same count of rows and columns; zeroes. */
void mega_tensor_copy(mega_tensor *to, const mega_tensor *from);
void mega_tensor_zero(mega_tensor *t);

#endif
