/* What torch.save wrote (.pt, .pth, .bin): tensors in plain Python containers, read without
 * Python and without running anything.
 *
 * A ZIP of a pickle and raw storages, or (before PyTorch 1.6) pickles and storages in a row. */
#ifndef MEGA_FORMAT_TORCH_H
#define MEGA_FORMAT_TORCH_H

#include "base/file.h"
#include "format/named.h"
#include "format/pickle.h"
#include "format/zip.h"

struct mega_torch_storage {
    const char *key, *dtype; /* dtype "": bytes, whose tensors have a type of their own */
    int64_t count;           /* elements */
    const unsigned char *data;
    struct mega_torch_storage *next;
};

struct mega_torch {
    struct mega_map map;
    struct mega_text place; /* "model.pt: archive/data.pkl" */
    struct mega_pickle pickle;
    struct mega_zip zip;
    const struct mega_value *root;  /* all that was saved */
    const struct mega_value *state; /* the part of it that holds the model's tensors */
    struct mega_named *tensor;      /* of `state`, sorted by name */
    int n;

    /* while it is read */
    const char *path;
    struct mega_torch_storage *storage, *last_storage;
};

/* Values of a pickle that are tensors: FOREIGN with this tag; `thing` is a struct
 * mega_torch_tensor. */
enum { MEGA_TORCH_STORAGE = 1, MEGA_TORCH_TENSOR };

struct mega_torch_tensor {
    struct mega_torch_storage *storage;
    const char *dtype;
    int64_t offset; /* elements */
    int rank;
    int64_t dim[MEGA_ST_RANK], stride[MEGA_ST_RANK];
};

/* Maps and checks the whole file; messages name it and the place. Which part is the model: the
 * map with tensors in it, or what lies under "model", "state_dict", "model_state_dict" or
 * "module" (one in the other, too); maps in maps give names with dots. */
mega_status mega_torch_open(struct mega_torch *t, const char *path);
mega_status mega_torch_parse(
    struct mega_torch *t, const char *path, const void *bytes, size_t n); /* borrowed bytes */
void mega_torch_close(struct mega_torch *t);

/* True if the file begins like one. */
bool mega_torch_begins(const unsigned char *bytes, size_t n);

/* ---- inside ---- */

extern const struct mega_pickle_world mega_torch_world; /* its self is set to the file */

/* Fills state, tensor and n from root. */
mega_status mega_torch_name(struct mega_torch *t);

#endif
