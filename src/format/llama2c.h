/* Model files of llama2.c (.bin): a header of seven numbers, then float32 tensors in a fixed
 * order.
 *
 * The first format has no sign of its own; the second begins with "ak42" (version 1). Tensors
 * get the names that Llama's own files have; query and key rows lie as there, rotary pairs side
 * by side. */
#ifndef MEGA_FORMAT_LLAMA2C_H
#define MEGA_FORMAT_LLAMA2C_H

#include "base/arena.h"
#include "format/named.h"

struct mega_llama2c_header {
    int64_t width, ffn, layers, heads, kv_heads, vocabulary, longest;
    bool tied; /* the table is the classifier too */
};

struct mega_llama2c {
    struct mega_map map;
    struct mega_arena arena;
    struct mega_llama2c_header header;
    struct mega_named *tensor; /* sorted by name */
    int n;
};

/* True if the bytes can be such a file: the header is sensible and the size is the one that it
 * asks for. */
bool mega_llama2c_begins(const unsigned char *bytes, size_t n);

/* The size must be what the header asks for; quantised files are refused by name. */
mega_status mega_llama2c_open(struct mega_llama2c *f, const char *path);
mega_status mega_llama2c_parse(
    struct mega_llama2c *f, const char *path, const void *bytes, size_t n); /* borrowed */
void mega_llama2c_close(struct mega_llama2c *f);

/* Fills `to` with the float32 numbers of the tensor called `name`. */
typedef mega_status mega_llama2c_fn(void *arg, const char *name, float *to, int64_t count);

/* Writes the first format; tensors are asked for one after the other. */
mega_status mega_llama2c_write(const char *path, const struct mega_llama2c_header *header,
    mega_llama2c_fn *fill, void *arg);

#endif
