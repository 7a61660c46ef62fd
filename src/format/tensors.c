#include "format/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mega_status no_memory(const char *path)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
}

/* "folder/name", yours to free; NULL: no memory */
static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path) snprintf(path, n, "%s/%s", folder, name);
    return path;
}

/* ---- one file ---- */

static mega_status find_kind(const char *path, enum mega_tensors_kind *kind)
{
    struct mega_map map;
    MEGA_TRY(mega_map_open(&map, path));
    *kind = mega_torch_begins(map.data, map.size)     ? MEGA_TENSORS_TORCH
            : mega_llama2c_begins(map.data, map.size) ? MEGA_TENSORS_LLAMA2C
                                                      : MEGA_TENSORS_SAFETENSORS;
    mega_map_close(&map);
    return MEGA_OK;
}

/* takes `path` over */
static mega_status open_file(struct mega_tensors_file *f, char *path)
{
    *f = (struct mega_tensors_file){ .path = path };
    MEGA_TRY(find_kind(path, &f->kind));
    switch (f->kind) {
    case MEGA_TENSORS_TORCH: return mega_torch_open(&f->torch, path);
    case MEGA_TENSORS_LLAMA2C: return mega_llama2c_open(&f->llama2c, path);
    default: return mega_safetensors_open(&f->safetensors, path);
    }
}

static void close_file(struct mega_tensors_file *f)
{
    switch (f->kind) {
    case MEGA_TENSORS_TORCH: mega_torch_close(&f->torch); break;
    case MEGA_TENSORS_LLAMA2C: mega_llama2c_close(&f->llama2c); break;
    default: mega_safetensors_close(&f->safetensors);
    }
    free(f->path);
}

static int count_of(const struct mega_tensors_file *f)
{
    return f->kind == MEGA_TENSORS_TORCH     ? f->torch.n
           : f->kind == MEGA_TENSORS_LLAMA2C ? f->llama2c.n
                                             : f->safetensors.n;
}

static struct mega_named tensor_at(const struct mega_tensors_file *f, int i)
{
    return f->kind == MEGA_TENSORS_TORCH     ? f->torch.tensor[i]
           : f->kind == MEGA_TENSORS_LLAMA2C ? f->llama2c.tensor[i]
                                             : mega_named_dense(&f->safetensors.tensor[i]);
}

/* ---- the whole from one file ---- */

static mega_status open_single(struct mega_tensors *t, const char *path)
{
    t->file = calloc(1, sizeof *t->file);
    char *copy = strdup(path);
    if (!t->file || !copy) {
        free(copy);
        return no_memory(path);
    }
    t->files = 1;
    MEGA_TRY(open_file(t->file, copy));
    int n = count_of(t->file);
    t->tensor = calloc((size_t)n + 1, sizeof *t->tensor);
    if (!t->tensor) return no_memory(path);
    while (t->n < n) {
        t->tensor[t->n] = tensor_at(t->file, t->n);
        t->n++;
    }
    return MEGA_OK;
}

/* ---- the whole from shards ---- */

static int by_file(const void *a, const void *b)
{
    const struct mega_tensors_entry *x = a, *y = b;
    int files = strcmp(x->file, y->file);
    return files ? files : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct mega_named *)a)->is.name, ((const struct mega_named *)b)->is.name);
}

static bool begins_file(const struct mega_tensors_entry *e, size_t i)
{
    return !i || strcmp(e[i - 1].file, e[i].file) != 0;
}

/* before anything is read: a shard that is not there makes the rest worthless */
static mega_status check_shards(
    const char *index, const char *folder, const struct mega_tensors_entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!begins_file(e, i)) continue;
        char *path = join(folder, e[i].file);
        if (!path) return no_memory(index);
        bool there = mega_path_exists(path);
        free(path);
        if (!there)
            return mega_fail(MEGA_BAD_FILE,
                "%s: shard %.200s is missing: get it from where the model came from", index,
                e[i].file);
    }
    return MEGA_OK;
}

static const struct mega_named *find_in(
    const struct mega_tensors_file *f, const char *name, struct mega_named *room)
{
    struct mega_named key = { .is = { .name = name } };
    if (f->kind == MEGA_TENSORS_SAFETENSORS) {
        const struct mega_st_tensor *found = mega_safetensors_find(&f->safetensors, name);
        if (!found) return NULL;
        *room = mega_named_dense(found);
        return room;
    }
    const struct mega_named *all =
        f->kind == MEGA_TENSORS_TORCH ? f->torch.tensor : f->llama2c.tensor;
    return bsearch(&key, all, (size_t)count_of(f), sizeof *all, by_name);
}

static void remark_on_total(struct mega_tensors *t, int64_t total)
{
    int64_t bytes = 0;
    for (int i = 0; i < t->n; i++) bytes += (int64_t)t->tensor[i].is.size;
    if (total >= 0 && total != bytes)
        mega_text_add(&t->remark,
            "%s: metadata.total_size is %lld, the tensors have %lld bytes: not heeded\n",
            t->path, (long long)total, (long long)bytes);
}

/* entries are sorted by file */
static mega_status open_shards(
    struct mega_tensors *t, const char *folder, const struct mega_tensors_entry *e, size_t n)
{
    MEGA_TRY(check_shards(t->path, folder, e, n));
    t->file = calloc(n, sizeof *t->file);
    t->tensor = calloc(n, sizeof *t->tensor);
    if (!t->file || !t->tensor) return no_memory(t->path);
    for (size_t i = 0; i < n; i++) {
        if (begins_file(e, i)) {
            char *path = join(folder, e[i].file);
            if (!path) return no_memory(t->path);
            MEGA_TRY(open_file(&t->file[t->files++], path));
        }
        struct mega_named room;
        const struct mega_named *found = find_in(&t->file[t->files - 1], e[i].name, &room);
        if (!found)
            return mega_fail(MEGA_BAD_FILE,
                "%s: tensor %.200s is not in %.200s, where the index says it is", t->path,
                e[i].name, e[i].file);
        t->tensor[t->n++] = *found;
    }
    qsort(t->tensor, (size_t)t->n, sizeof *t->tensor, by_name);
    return MEGA_OK;
}

static mega_status open_index(struct mega_tensors *t, const char *folder)
{
    struct mega_document d;
    struct mega_tensors_entry *e = NULL;
    size_t n;
    int64_t total;
    MEGA_TRY(mega_json_load(&d, t->path));
    mega_status status = mega_tensors_index(&d, &e, &n, &total);
    if (!status) {
        qsort(e, n, sizeof *e, by_file);
        status = open_shards(t, folder, e, n);
    }
    if (!status) remark_on_total(t, total);
    free(e);
    mega_document_done(&d);
    return status;
}

/* ---- files and folders ---- */

static const struct {
    const char *name;
    bool index;
} in_folders[] = { { "model.safetensors.index.json", true }, { "model.safetensors", false },
    { "pytorch_model.bin.index.json", true }, { "pytorch_model.bin", false },
    { "consolidated.00.pth", false }, { "consolidated.pth", false } };
enum { IN_FOLDERS = sizeof in_folders / sizeof *in_folders };

/* a single file beside the index of shards is not mixed in */
static void remark_on_single(struct mega_tensors *t, const char *folder, int i)
{
    char *single = i + 1 < IN_FOLDERS ? join(folder, in_folders[i + 1].name) : NULL;
    if (in_folders[i].index && single && mega_path_exists(single))
        mega_text_add(&t->remark, "%s is not read: %s has shards\n", single, t->path);
    free(single);
}

/* a part for each of several devices, which the first does not tell */
static mega_status refuse_parts(const char *folder, const char *name)
{
    char *second =
        strcmp(name, "consolidated.00.pth") != 0 ? NULL : join(folder, "consolidated.01.pth");
    bool parts = second && mega_path_exists(second);
    free(second);
    return parts ? mega_fail(MEGA_UNSUPPORTED,
                       "%s holds parts for several devices (consolidated.01.pth): expected the "
                       "whole in one file",
                       folder)
                 : MEGA_OK;
}

/* the first of these that is there: *i, IN_FOLDERS if none is; *path is yours to free */
static mega_status find_known(const char *folder, int *i, char **path)
{
    for (*i = 0; *i < IN_FOLDERS; ++*i) {
        *path = join(folder, in_folders[*i].name);
        if (!*path) return no_memory(folder);
        if (mega_path_exists(*path)) return MEGA_OK;
        free(*path);
        *path = NULL;
    }
    return MEGA_OK;
}

static bool is_llama2c(const char *path)
{
    enum mega_tensors_kind kind;
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".bin") && !mega_path_is_folder(path) &&
           !find_kind(path, &kind) && kind == MEGA_TENSORS_LLAMA2C;
}

/* Files of llama2.c have no name of their own: the one that the folder holds, *path, yours to
 * free; NULL: none. */
static mega_status find_llama2c(const char *folder, char **path)
{
    struct mega_names names;
    mega_status status = MEGA_OK;
    *path = NULL;
    MEGA_TRY(mega_folder_list(folder, &names));
    for (int i = 0; i < names.n && !status; i++) {
        char *file = join(folder, names.item[i]);
        bool found = file && is_llama2c(file);
        if (!file)
            status = no_memory(folder);
        else if (found && *path)
            status = mega_fail(MEGA_BAD_ARGUMENT,
                "%s holds several model files of llama2.c: name one of them, %s or %s", folder,
                *path, file);
        else if (found)
            *path = file;
        if (!found || status) free(file);
    }
    mega_names_done(&names);
    if (status) {
        free(*path);
        *path = NULL;
    }
    return status;
}

bool mega_tensors_in(const char *folder)
{
    int i;
    char *path;
    bool known = !find_known(folder, &i, &path) && path;
    if (!known) known = !find_llama2c(folder, &path) && path;
    free(path);
    return known;
}

static mega_status open_folder(struct mega_tensors *t, const char *folder)
{
    int i;
    MEGA_TRY(find_known(folder, &i, &t->path));
    if (t->path) {
        MEGA_TRY(refuse_parts(folder, in_folders[i].name));
        remark_on_single(t, folder, i);
        return in_folders[i].index ? open_index(t, folder) : open_single(t, t->path);
    }
    MEGA_TRY(find_llama2c(folder, &t->path));
    if (t->path) return open_single(t, t->path);
    return mega_fail(MEGA_BAD_FILE,
        "%s has no tensors: expected model.safetensors, pytorch_model.bin, an index of shards "
        "of either, consolidated.pth, or a model file of llama2.c",
        folder);
}

static mega_status open_any(struct mega_tensors *t, const char *path)
{
    static const char end[] = ".index.json";
    size_t n = strlen(path);
    if (mega_path_is_folder(path)) return open_folder(t, path);
    t->path = strdup(path);
    if (!t->path) return no_memory(path);
    if (n < sizeof end || strcmp(path + n - (sizeof end - 1), end) != 0)
        return open_single(t, path);
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) *slash = 0;
    mega_status status = !folder ? no_memory(path) : open_index(t, slash ? folder : ".");
    free(folder);
    return status;
}

mega_status mega_tensors_open(struct mega_tensors *t, const char *path)
{
    *t = (struct mega_tensors){ 0 };
    mega_status status = open_any(t, path);
    if (status) mega_tensors_close(t);
    return status;
}

void mega_tensors_close(struct mega_tensors *t)
{
    for (int i = 0; i < t->files; i++) close_file(&t->file[i]);
    free(t->file);
    free(t->tensor);
    free(t->path);
    mega_text_done(&t->remark);
    *t = (struct mega_tensors){ 0 };
}

const struct mega_named *mega_tensors_find(const struct mega_tensors *t, const char *name)
{
    struct mega_named key = { .is = { .name = name } };
    return t->n ? bsearch(&key, t->tensor, (size_t)t->n, sizeof *t->tensor, by_name) : NULL;
}

const struct mega_value *mega_tensors_root(const struct mega_tensors *t)
{
    return t->files == 1 && t->file->kind == MEGA_TENSORS_TORCH ? t->file->torch.root : NULL;
}
