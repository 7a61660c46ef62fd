/* safetensors: named tensors in one file (8 bytes header length, a JSON header, raw
 * little-endian data). */
#ifndef MEGA_FORMAT_SAFETENSORS_H
#define MEGA_FORMAT_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"

enum { MEGA_ST_RANK = 8 };

struct mega_st_tensor {
    const char *name;
    char dtype[8]; /* as written: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL ... */
    int rank;
    int64_t dim[MEGA_ST_RANK];
    int64_t count;    /* elements */
    const void *data; /* in the map; may be unaligned */
    size_t size;      /* bytes */
};

struct mega_st_entry {
    const char *key, *value;
};

struct mega_safetensors {
    struct mega_map map;
    struct mega_arena arena;
    struct mega_st_tensor *tensor; /* sorted by name */
    int n;
    struct mega_st_entry *meta; /* __metadata__, in order */
    int n_meta;
};

/* Maps and checks the whole header before anything is used: lengths, known types, overflow of
 * sizes, sizes that fit their shapes, ranges inside the file, overlaps, gaps, names given
 * twice. A Git LFS pointer, a pickle and a ZIP (.pt) in place of a model are recognised and
 * named. Messages name the file and the tensor. */
mega_status mega_safetensors_open(struct mega_safetensors *s, const char *path);
mega_status mega_safetensors_parse(struct mega_safetensors *s, const char *name,
    const void *bytes, size_t n); /* borrowed bytes */
void mega_safetensors_close(struct mega_safetensors *s);

const struct mega_st_tensor *mega_safetensors_find(
    const struct mega_safetensors *s, const char *name); /* or NULL */
const char *mega_safetensors_meta(
    const struct mega_safetensors *s, const char *key); /* or NULL */

/* One element as a double (exact for all floating types and integers up to 2^53); index <
 * count.
 */
double mega_st_real(const struct mega_st_tensor *t, int64_t index);
int64_t mega_st_int(const struct mega_st_tensor *t, int64_t index);

/* Size of an element in bytes, 0 if the type is unknown. */
size_t mega_st_item_size(const char *dtype);

/* Writes a file whole or not at all, tensors in the order given, each right after the last (the
 * format allows no gaps); the header is padded with blanks to a multiple of 8. Only name,
 * dtype, rank, dim and data of each tensor are read; count and size are derived. */
mega_status mega_safetensors_write(const char *path, const struct mega_st_tensor *tensor, int n,
    const struct mega_st_entry *meta, int n_meta);

/* The same into a folder, as Hugging Face names it: model.safetensors, or, where the tensors
 * have more than `most` bytes (0: any number), model-00001-of-0000N.safetensors and so on, each
 * filled in order up to that size (a larger tensor has one of its own), and
 * model.safetensors.index.json, which is written last. */
mega_status mega_safetensors_write_folder(const char *folder,
    const struct mega_st_tensor *tensor, int n, const struct mega_st_entry *meta, int n_meta,
    int64_t most);

/* Bytes of its elements, by dtype and shape. */
size_t mega_st_size(const struct mega_st_tensor *t);

#endif
