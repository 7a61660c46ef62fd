#include "train/bad_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"
#include "train/checkpoint.h"

static struct mega_st_tensor describe(
    const char *name, const char *dtype, int rank, int64_t d0, int64_t d1, const void *data)
{
    struct mega_st_tensor t = { .name = name, .rank = rank, .dim = { d0, d1 }, .data = data };
    strcpy(t.dtype, dtype);
    return t;
}

/* the batch and what keys its random numbers, as batch.safetensors */
static mega_status save_batch(const char *path, const struct mega_batch *b, int64_t towers,
    struct mega_now now, double units, int64_t first_row, mega_dtype dtype)
{
    static const char *const texts[] = { "text", "text1" }, *const lengths[] = { "len",
        "len1" };
    struct mega_st_tensor tensor[6];
    int n = 0;
    for (int64_t k = 0; k < towers; k++) {
        tensor[n++] = describe(texts[k], "I32", 2, b->n, b->rows[k].T, b->text[k].data);
        tensor[n++] = describe(lengths[k], "I32", 1, b->n, 0, b->rows[k].len);
    }
    tensor[n++] = describe("target", "I32", 1, b->target.dim[0], 0, b->target.data);
    if (b->rows[0].doc)
        tensor[n++] = describe("doc", "I32", 2, b->n, b->rows[0].T, b->rows[0].doc);
    char seed[32], step[32], unit[32], row[32], smooth[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)now.seed);
    snprintf(step, sizeof step, "%lld", (long long)now.step);
    snprintf(unit, sizeof unit, "%.17g", units);
    snprintf(row, sizeof row, "%lld", (long long)first_row);
    snprintf(smooth, sizeof smooth, "%.17g", b->smoothing);
    const struct mega_st_entry meta[] = { { "seed", seed }, { "step", step }, { "units", unit },
        { "first_row", row }, { "smoothing", smooth },
        { "activations", mega_dtype_name(dtype) } };
    return mega_safetensors_write(path, tensor, n, meta, 6);
}

/* the first tensor that is not finite, as the message of this thread; MEGA_OK if the second
 * time all was well */
static mega_status find(mega_run *r, const mega_model *m, struct mega_batch *b,
    struct mega_now now, double units, int64_t first_row)
{
    double loss;
    return mega_pass_run(r, m, b, now, units, first_row, MEGA_RUN_CHECK, &loss);
}

mega_status mega_bad_step_record(const struct mega_run_folder *f, mega_run *r,
    const mega_model *m, const char *config, struct mega_batch *b, struct mega_now now,
    double units, int64_t first_row, const char *what, double value)
{
    char where[1280], path[1400],
        first[1024] = "every forward value is finite: the gradient overflows";
    long long step = (long long)now.step + 1;
    if (find(r, m, b, now, units, first_row))
        snprintf(first, sizeof first, "first bad tensor: %.1000s", mega_message());
    mega_run_folder_path(f, where, "bad-step-%06lld", step);
    snprintf(path, sizeof path, "%s/batch.safetensors", where);
    MEGA_TRY(mega_model_folder_save(where, m, config));
    MEGA_TRY(
        save_batch(path, b, mega_model_towers(m), now, units, first_row, mega_run_dtype(r)));
    return mega_fail(MEGA_NOT_FINITE,
        "the %s of update %lld is %g; %s; the step is kept: mega train --replay %s", what, step,
        value, first, where);
}

/* ---- repeating it ---- */

static mega_status read_i32(const struct mega_safetensors *s, const char *path,
    const char *name, int rank, mega_tensor *out, void **owned)
{
    const struct mega_st_tensor *t = mega_safetensors_find(s, name);
    if (!t || t->rank != rank || strcmp(t->dtype, "I32") != 0)
        return mega_fail(MEGA_BAD_FILE, "%s: expected a tensor %s of type I32 and rank %d",
            path, name, rank);
    *owned = malloc(t->size + 1);
    if (!*owned) return mega_fail(MEGA_NO_MEMORY, "no memory for %s", path);
    memcpy(*owned, t->data, t->size);
    *out = mega_tensor_over(*owned, MEGA_I32, rank, t->dim);
    return MEGA_OK;
}

static const char *meta(const struct mega_safetensors *s, const char *key)
{
    const char *value = mega_safetensors_meta(s, key);
    return value ? value : "0";
}

static mega_status read_batch(const struct mega_safetensors *s, const char *path,
    enum mega_architecture a, int64_t towers, struct mega_batch *b, void *owned[6])
{
    static const char *const texts[] = { "text", "text1" }, *const lengths[] = { "len",
        "len1" };
    mega_tensor doc = { 0 };
    MEGA_TRY(read_i32(s, path, "target", 1, &b->target, &owned[4]));
    if (mega_safetensors_find(s, "doc")) MEGA_TRY(read_i32(s, path, "doc", 2, &doc, &owned[5]));
    b->smoothing = strtod(meta(s, "smoothing"), NULL);
    for (int64_t k = 0; k < towers; k++) {
        mega_tensor len;
        MEGA_TRY(read_i32(s, path, texts[k], 2, &b->text[k], &owned[2 * k]));
        MEGA_TRY(read_i32(s, path, lengths[k], 1, &len, &owned[2 * k + 1]));
        int64_t B = b->text[0].dim[0], T = b->text[k].dim[1];
        bool many = a != MEGA_CLASSIFIER, fits = b->target.dim[0] == (many ? B * T : B);
        if (doc.data) fits = fits && doc.dim[0] == B && doc.dim[1] == T;
        if (!fits || b->text[k].dim[0] != B || len.dim[0] != B)
            return mega_fail(
                MEGA_BAD_FILE, "%s: texts, lengths and targets are not equally many", path);
        b->n = B;
        b->rows[k] = (struct mega_rows){ .B = B, .T = T, .len = len.data, .doc = doc.data };
    }
    return MEGA_OK;
}

static mega_status replay(mega_context *c, mega_model *m, const char *path, double *loss)
{
    struct mega_safetensors s;
    struct mega_batch b = { 0 };
    void *owned[6] = { 0 };
    mega_run *r = NULL;
    MEGA_TRY(mega_safetensors_open(&s, path));
    mega_status status =
        read_batch(&s, path, m->config.architecture, mega_model_towers(m), &b, owned);
    struct mega_now now = { strtoull(meta(&s, "seed"), NULL, 10),
        strtoll(meta(&s, "step"), NULL, 10) };
    double units = strtod(meta(&s, "units"), NULL);
    int64_t first_row = strtoll(meta(&s, "first_row"), NULL, 10);
    if (!status) status = mega_run_new(&r, c);
    mega_dtype dtype = MEGA_F32;
    mega_dtype_find(meta(&s, "activations"), &dtype);
    if (!status) mega_run_set_dtype(r, dtype);
    if (!status)
        status = mega_pass_run(
            r, m, &b, now, units > 0 ? units : 1, first_row, MEGA_RUN_CHECK, loss);
    mega_run_free(r);
    for (int i = 0; i < 6; i++) free(owned[i]);
    mega_safetensors_close(&s);
    return status;
}

mega_status mega_bad_step_replay(mega_context *c, const char *folder, double *loss)
{
    struct mega_model_config config;
    struct mega_document document;
    mega_model *m = NULL;
    char path[1280];
    MEGA_TRY(mega_model_config_load(&config, &document, folder));
    mega_status status = mega_model_new(&m, &config, true, true);
    snprintf(path, sizeof path, "%.1100s/model.safetensors", folder);
    if (!status) status = mega_model_load_weights(m, path);
    snprintf(path, sizeof path, "%.1100s/batch.safetensors", folder);
    if (!status) status = replay(c, m, path, loss);
    mega_model_free(m);
    mega_document_done(&document);
    return status;
}
