/* A source of named tensors, whatever holds them: a safetensors file, a file of PyTorch, a
 * model file of llama2.c, or a folder with one of these or with shards and their index. */
#ifndef MEGA_FORMAT_TENSORS_H
#define MEGA_FORMAT_TENSORS_H

#include "format/llama2c.h"
#include "format/node.h"
#include "format/torch.h"

enum mega_tensors_kind { MEGA_TENSORS_SAFETENSORS, MEGA_TENSORS_TORCH, MEGA_TENSORS_LLAMA2C };

/* One file of a source. */
struct mega_tensors_file {
    char *path;
    enum mega_tensors_kind kind;
    union {
        struct mega_safetensors safetensors;
        struct mega_torch torch;
        struct mega_llama2c llama2c;
    };
};

struct mega_tensors {
    char *path;                /* the file, or the index of shards */
    struct mega_named *tensor; /* sorted by name */
    int n;
    struct mega_tensors_file *file; /* [files] */
    int files;
    struct mega_text remark; /* what was odd but right: lines to be shown; may be empty */
};

/* Opens a file by its content, or what a folder holds: the shards of
 * model.safetensors.index.json, model.safetensors, the shards of pytorch_model.bin.index.json,
 * pytorch_model.bin, consolidated.00.pth, consolidated.pth; the first of them that is there,
 * else the only file of llama2.c. An index names files of its own folder; all must be there and
 * hold what it says. */
mega_status mega_tensors_open(struct mega_tensors *t, const char *path);
bool mega_tensors_in(const char *folder); /* it holds one of these */
void mega_tensors_close(struct mega_tensors *t);

const struct mega_named *mega_tensors_find(const struct mega_tensors *t, const char *name);

/* What lies beside the tensors in a file of PyTorch (arguments, counters); NULL elsewhere. */
const struct mega_value *mega_tensors_root(const struct mega_tensors *t);

/* ---- inside ---- */

struct mega_tensors_entry {
    const char *name, *file;
};

/* Reads an index ("weight_map", "metadata.total_size"): entries in order of appearance, whose
 * texts lie in the document. *total: -1 if it is not told. */
mega_status mega_tensors_index(
    const struct mega_document *d, struct mega_tensors_entry **out, size_t *n, int64_t *total);

#endif
