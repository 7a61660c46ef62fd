/* One named tensor of a file, wherever it came from: a type, a shape, strides, and where its
 * first element lies. */
#ifndef MEGA_FORMAT_NAMED_H
#define MEGA_FORMAT_NAMED_H

#include "format/safetensors.h"

struct mega_named {
    /* name, type, shape; `data` is the first element in the map, possibly unaligned; `size` the
     * bytes of a dense copy */
    struct mega_st_tensor is;
    int64_t stride[MEGA_ST_RANK]; /* elements */
};

/* The tensor of a safetensors file, dense. */
struct mega_named mega_named_dense(const struct mega_st_tensor *t);

bool mega_named_is_dense(const struct mega_named *t);

/* Where element `index` of the dense order lies, in elements from the first. */
int64_t mega_named_place(const struct mega_named *t, int64_t index);

/* All elements, dense, as float32 (rounded to nearest where the type is wider). Complex numbers
 * are refused; `file` is for the message. */
mega_status mega_named_read(const struct mega_named *t, const char *file, float *to);

/* All elements, dense, as they are: `is.size` bytes. */
void mega_named_copy(const struct mega_named *t, void *to);

/* Bytes of an element; the types of safetensors and C64, C128. 0: not known. */
size_t mega_named_item(const char *dtype);

/* "[2, 3] F32" into `out` of at least 200 bytes; returns it. */
char *mega_named_print(const struct mega_named *t, char *out);

#endif
