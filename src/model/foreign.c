#include "model/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/import.h"
#include "model/megalodon_config.h"
#include "model/official.h"

/* What is known before the model is made. */
struct found {
    struct mega_tensors from;
    struct mega_document theirs; /* their config.json, if any */
    struct mega_foreign_config config;
    struct mega_name_table names;
    char first[MEGA_RENAME_NAME]; /* our first tensor */
};

static mega_status no_memory(const char *path)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
}

/* ---- what is it? ---- */

/* a file beside the tensors: of a folder, or of the folder that a file lies in */
static mega_status find_beside(const char *path, const char *name, struct mega_text *out)
{
    if (mega_path_is_folder(path)) {
        mega_text_add(out, "%s/%s", path, name);
    } else {
        const char *slash = strrchr(path, '/');
        mega_text_add(out, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
    }
    return out->failed ? no_memory(path) : MEGA_OK;
}

static mega_status open_config(struct found *w, const char *path, const char *name)
{
    struct mega_text file = { 0 };
    mega_status status = find_beside(path, name, &file);
    if (!status && !mega_path_exists(file.data))
        status = mega_fail(MEGA_BAD_FILE,
            "%s: what model are these tensors? expected %s beside them, a file of "
            "llama2.c, or a checkpoint of Mega's authors with its args",
            path, name);
    if (!status) status = mega_json_load(&w->theirs, file.data);
    mega_text_done(&file);
    return status;
}

static bool has(const struct mega_tensors *t, const char *end)
{
    size_t m = strlen(end);
    for (int i = 0; i < t->n; i++) {
        size_t n = strlen(t->tensor[i].is.name);
        if (n >= m && !strcmp(t->tensor[i].is.name + n - m, end)) return true;
    }
    return false;
}

/* what a BERT is read off with its files differ in */
static void find_ends(struct found *w)
{
    w->config.pooler = has(&w->from, "pooler.dense.weight");
    w->config.masked = has(&w->from, "cls.predictions.transform.dense.weight");
    w->config.next = has(&w->from, "cls.seq_relationship.weight");
}

static mega_status read_hf(
    struct mega_foreign *f, struct found *w, const char *path, const char *ignore)
{
    MEGA_TRY(open_config(w, path, "config.json"));
    MEGA_TRY(mega_foreign_config_read(&w->config, &w->theirs, ignore));
    mega_text_add_bytes(&f->remark, w->config.remark.data, w->config.remark.size);
    w->names = *w->config.names;
    find_ends(w);
    mega_foreign_json(&w->config, &f->config);
    return MEGA_OK;
}

static bool is_meta(const struct mega_tensors *t)
{
    static const char end[] = "layers.0.attention.wq.weight";
    for (int i = 0; i < t->n; i++) {
        size_t n = strlen(t->tensor[i].is.name);
        if (n >= sizeof end - 1 && !strcmp(t->tensor[i].is.name + n - (sizeof end - 1), end))
            return true;
    }
    return false;
}

/* what a checkpoint of llama2.c's training says of the model, as a document */
static mega_status read_model_args(
    struct found *w, const char *path, const struct mega_value *args)
{
    struct mega_text json = { 0 };
    mega_text_add(&json, "{");
    for (size_t i = 0; i + 1 < args->n; i += 2) {
        const struct mega_value *key = args->item[i], *value = args->item[i + 1];
        bool whole = value->kind == MEGA_VALUE_INT, real = value->kind == MEGA_VALUE_REAL;
        if (key->kind != MEGA_VALUE_TEXT || (!whole && !real)) continue;
        mega_text_add(&json, json.size > 1 ? ", " : "");
        mega_json_add_text(&json, key->text, key->size);
        mega_text_add(&json, ": ");
        if (real)
            mega_json_add_real(&json, value->real);
        else
            mega_text_add(&json, "%lld", (long long)value->integer);
    }
    mega_text_add(&json, "}");
    mega_status status =
        json.failed ? no_memory(path) : mega_json_parse(&w->theirs, path, json.data, json.size);
    mega_text_done(&json);
    return status;
}

static mega_status read_meta(
    struct mega_foreign *f, struct found *w, const char *path, const char *ignore)
{
    const struct mega_value *args = mega_value_find(mega_tensors_root(&w->from), "model_args");
    MEGA_TRY(args && args->kind == MEGA_VALUE_MAP ? read_model_args(w, path, args)
                                                  : open_config(w, path, "params.json"));
    MEGA_TRY(mega_foreign_config_meta(&w->config, &w->theirs, &w->from, ignore));
    mega_text_add_bytes(&f->remark, w->config.remark.data, w->config.remark.size);
    w->names = *w->config.names;
    mega_foreign_json(&w->config, &f->config);
    return MEGA_OK;
}

static mega_status read_megalodon(
    struct mega_foreign *f, struct found *w, const char *path, const char *ignore)
{
    MEGA_TRY(open_config(w, path, "config.json"));
    return mega_megalodon_config(
        &w->theirs, &w->names, &w->from, ignore, &f->config, &f->remark);
}

/* names as in the model that the configuration declares */
static mega_status read_given(struct mega_foreign *f, struct found *w, const char *config)
{
    static const struct mega_rename none[] = { { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 } };
    w->names = (struct mega_name_table){ .title = "model of the given configuration",
        .name = none,
        .ignored = mega_names_official_lm.ignored,
        .ours = true };
    MEGA_TRY(mega_file_read(config, &f->config));
    return f->config.failed ? no_memory(config) : MEGA_OK;
}

static mega_status find_out(struct mega_foreign *f, struct found *w, const char *path,
    const char *ignore, const char *config)
{
    const struct mega_name_table *official = mega_official_names(&w->from),
                                 *megalodon = mega_megalodon_names(&w->from);
    w->config.bos = w->config.eos = w->config.pad = -1;
    if (config && *config) return read_given(f, w, config);
    if (official) {
        w->names = *official;
        w->config.pad = 1;
        return mega_official_config(&w->from, official, &f->config);
    }
    if (megalodon) {
        w->names = *megalodon;
        return read_megalodon(f, w, path, ignore);
    }
    if (w->from.files == 1 && w->from.file->kind == MEGA_TENSORS_LLAMA2C) {
        mega_foreign_config_llama2c(&w->config, &w->from.file->llama2c.header);
        w->names = *w->config.names;
        mega_foreign_json(&w->config, &f->config);
        return MEGA_OK;
    }
    return is_meta(&w->from) ? read_meta(f, w, path, ignore) : read_hf(f, w, path, ignore);
}

/* ---- the model ---- */

/* names and shapes, before memory is taken for what a file only says */
static mega_status check_model(struct found *w, const struct mega_model_config *config)
{
    mega_model *m;
    MEGA_TRY(mega_model_new(&m, config, false, false));
    struct mega_rename_heads heads = mega_foreign_heads(&w->config.options);
    snprintf(w->first, sizeof w->first, "%s", m->store.first->name);
    if (!w->names.probe) w->names.probe = w->first;
    mega_status status = mega_import(&m->store, &w->from, &w->names, &heads);
    mega_model_free(m);
    return status;
}

static mega_status make_model(struct mega_foreign *f, struct found *w, const char *name)
{
    struct mega_document d;
    struct mega_model_config config;
    if (f->config.failed || f->remark.failed) return no_memory(name);
    MEGA_TRY(mega_json_parse(&d, name, f->config.data, f->config.size));
    mega_status status = mega_model_config_parse(&config, &d);
    if (!status) status = check_model(w, &config);
    if (!status) status = mega_model_new(&f->model, &config, true, false);
    if (status) {
        mega_document_done(&d);
        return status;
    }
    f->model->document = d;
    struct mega_rename_heads heads = mega_foreign_heads(&w->config.options);
    mega_store_fill(&f->model->store, 0); /* buffers that have no place in theirs */
    return mega_import(&f->model->store, &w->from, &w->names, &heads);
}

static mega_status load(struct mega_foreign *f, struct found *w, const char *path,
    const char *ignore, const char *config)
{
    MEGA_TRY(mega_tensors_open(&w->from, path));
    mega_text_add_bytes(&f->remark, w->from.remark.data, w->from.remark.size);
    MEGA_TRY(find_out(f, w, path, ignore, config));
    f->kind = w->names.title;
    f->bos = w->config.bos;
    f->eos = w->config.eos;
    f->pad = w->config.pad;
    return make_model(f, w, config && *config ? config : path);
}

mega_status mega_foreign_load(
    struct mega_foreign *f, const char *path, const char *ignore, const char *config)
{
    struct found w = { 0 };
    *f = (struct mega_foreign){ .bos = -1, .eos = -1, .pad = -1 };
    mega_status status = load(f, &w, path, ignore, config);
    mega_foreign_config_done(&w.config);
    mega_document_done(&w.theirs);
    mega_tensors_close(&w.from);
    if (status) mega_foreign_done(f);
    return status;
}

bool mega_foreign_is(const char *path)
{
    struct mega_text file = { 0 };
    struct mega_document d;
    if (!mega_path_is_folder(path)) return mega_path_exists(path);
    bool there = !find_beside(path, "config.json", &file) && mega_path_exists(file.data),
         read = there && !mega_json_load(&d, file.data);
    mega_text_done(&file);
    if (!there) return mega_tensors_in(path); /* of Llama's authors, of llama2.c */
    if (!read) return false;
    bool theirs = !mega_node_find(d.root, "megac");
    mega_document_done(&d);
    return theirs;
}

void mega_foreign_done(struct mega_foreign *f)
{
    mega_model_free(f->model);
    mega_text_done(&f->config);
    mega_text_done(&f->remark);
    *f = (struct mega_foreign){ 0 };
}
