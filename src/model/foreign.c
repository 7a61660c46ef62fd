#include "model/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/import.h"
#include "model/official.h"

/* What is known before the model is made. */
struct found {
    struct mega_tensors from;
    struct mega_document theirs; /* their config.json, if any */
    struct mega_foreign_config config;
    struct mega_name_table names;
};

static mega_status no_memory(const char *path)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
}

/* ---- what is it? ---- */

/* config.json beside the tensors: of a folder, or of the folder that a file lies in */
static mega_status find_config(const char *path, struct mega_text *out)
{
    if (mega_path_is_folder(path)) {
        mega_text_add(out, "%s/config.json", path);
    } else {
        const char *slash = strrchr(path, '/');
        mega_text_add(out, "%.*sconfig.json", slash ? (int)(slash - path) + 1 : 0, path);
    }
    return out->failed ? no_memory(path) : MEGA_OK;
}

static mega_status read_hf(
    struct mega_foreign *f, struct found *w, const char *path, const char *ignore)
{
    struct mega_text file = { 0 };
    mega_status status = find_config(path, &file);
    if (!status && !mega_path_exists(file.data))
        status = mega_fail(MEGA_BAD_FILE,
            "%s: what model are these tensors? expected config.json beside them, a file of "
            "llama2.c, or a checkpoint of Mega's authors with its args",
            path);
    if (!status) status = mega_json_load(&w->theirs, file.data);
    mega_text_done(&file);
    MEGA_TRY(status);
    MEGA_TRY(mega_foreign_config_read(&w->config, &w->theirs, ignore));
    mega_text_add_bytes(&f->remark, w->config.remark.data, w->config.remark.size);
    w->names = *w->config.names;
    mega_foreign_json(&w->config, &f->config);
    return MEGA_OK;
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
    const struct mega_name_table *official = mega_official_names(&w->from);
    w->config.bos = w->config.eos = w->config.pad = -1;
    if (config && *config) return read_given(f, w, config);
    if (official) {
        w->names = *official;
        w->config.pad = 1;
        return mega_official_config(&w->from, official, &f->config);
    }
    if (w->from.files == 1 && w->from.file->kind == MEGA_TENSORS_LLAMA2C) {
        mega_foreign_config_llama2c(&w->config, &w->from.file->llama2c.header);
        w->names = *w->config.names;
        mega_foreign_json(&w->config, &f->config);
        return MEGA_OK;
    }
    return read_hf(f, w, path, ignore);
}

/* ---- the model ---- */

static mega_status make_model(struct mega_foreign *f, struct found *w, const char *name)
{
    struct mega_document d;
    struct mega_model_config config;
    if (f->config.failed || f->remark.failed) return no_memory(name);
    MEGA_TRY(mega_json_parse(&d, name, f->config.data, f->config.size));
    mega_status status = mega_model_config_parse(&config, &d);
    if (!status) status = mega_model_new(&f->model, &config, true, false);
    if (status) {
        mega_document_done(&d);
        return status;
    }
    f->model->document = d;
    struct mega_rename_heads heads = mega_foreign_heads(&w->config.options);
    if (!w->names.probe) w->names.probe = f->model->store.first->name;
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

void mega_foreign_done(struct mega_foreign *f)
{
    mega_model_free(f->model);
    mega_text_done(&f->config);
    mega_text_done(&f->remark);
    *f = (struct mega_foreign){ 0 };
}
