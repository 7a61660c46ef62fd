#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/safetensors.h"

/* the counters, each a tensor of one number under its name */
static const struct {
    const char *name, *dtype;
    size_t offset;
    bool young; /* older files lack it: then it stays as it is */
} counters[] = {
    { "progress.step", "I64", offsetof(struct mega_progress, step), false },
    { "progress.epoch", "I64", offsetof(struct mega_progress, epoch), false },
    { "progress.position", "I64", offsetof(struct mega_progress, position), false },
    { "progress.best", "F64", offsetof(struct mega_progress, best), false },
    { "progress.best_step", "I64", offsetof(struct mega_progress, best_step), false },
    { "progress.waited", "I64", offsetof(struct mega_progress, waited), false },
    { "progress.due", "I64", offsetof(struct mega_progress, due), false },
    { "plateau.begun", "U8", offsetof(struct mega_progress, plateau.begun), false },
    { "plateau.best", "F64", offsetof(struct mega_progress, plateau.best), false },
    { "plateau.waited", "I64", offsetof(struct mega_progress, plateau.waited), false },
    { "plateau.reductions", "I64", offsetof(struct mega_progress, plateau.reductions), false },
    { "heads.l1", "F64", offsetof(struct mega_progress, head_l1), true },
    { "heads.l2", "F64", offsetof(struct mega_progress, head_l2), true },
};
enum { COUNTERS = sizeof counters / sizeof *counters };

static char *join(const char *folder, const char *name, char out[1280])
{
    snprintf(out, 1280, "%.1100s/%s", folder, name);
    return out;
}

mega_status mega_model_folder_save(const char *path, const mega_model *m, const char *config)
{
    char file[1280];
    MEGA_TRY(mega_folder_make(path));
    MEGA_TRY(mega_file_write(join(path, "config.json", file), config, strlen(config)));
    return mega_model_save_weights(m, join(path, "model.safetensors", file));
}

/* ---- the state file ---- */

/* names of one parameter's tensors: "m.<name>", "v.<name>", "steps.<name>" */
struct names {
    char m[512], v[512], steps[512];
};

static void name_tensors(struct names *n, const char *param)
{
    snprintf(n->m, sizeof n->m, "m.%s", param);
    snprintf(n->v, sizeof n->v, "v.%s", param);
    snprintf(n->steps, sizeof n->steps, "steps.%s", param);
}

static struct mega_st_tensor one_number(const char *name, const char *dtype, const void *data)
{
    struct mega_st_tensor t = { .name = name, .rank = 0, .data = data };
    strcpy(t.dtype, dtype);
    return t;
}

static struct mega_st_tensor vector(const char *name, const float *data, int64_t n)
{
    return (struct mega_st_tensor){
        .name = name, .dtype = "F32", .rank = 1, .dim = { n }, .data = data
    };
}

static mega_status save_state(
    const char *path, const mega_model *m, const struct mega_training_state *state)
{
    const struct mega_store *s = &m->store;
    struct names *names = calloc((size_t)s->n_params, sizeof *names);
    struct mega_st_tensor *tensor =
        calloc((size_t)(COUNTERS + 3 * s->n_params), sizeof *tensor);
    mega_status status = MEGA_OK;
    if (!names || !tensor) status = mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    int n = 0, i = 0;
    for (; !status && n < COUNTERS; n++)
        tensor[n] = one_number(counters[n].name, counters[n].dtype,
            (const char *)state->progress + counters[n].offset);
    for (const struct mega_param *p = s->first; !status && p; p = p->next, i++) {
        name_tensors(&names[i], p->name);
        tensor[n++] = vector(names[i].m, s->moment1 + p->offset, p->count);
        tensor[n++] = vector(names[i].v, s->moment2 + p->offset, p->count);
        tensor[n++] = one_number(names[i].steps, "I64", &state->span[i].steps);
    }
    if (!status) status = mega_safetensors_write(path, tensor, n, NULL, 0);
    free(names);
    free(tensor);
    return status;
}

static mega_status read_bytes(
    const struct mega_safetensors *s, const char *path, const char *name, void *to, size_t size)
{
    const struct mega_st_tensor *t = mega_safetensors_find(s, name);
    if (!t) return mega_fail(MEGA_BAD_FILE, "%s: tensor %s is missing", path, name);
    if (t->size != size)
        return mega_fail(MEGA_BAD_FILE, "%s: tensor %s has %zu bytes, expected %zu", path, name,
            t->size, size);
    if (size) memcpy(to, t->data, size);
    return MEGA_OK;
}

static mega_status load_state(
    const char *path, mega_model *m, const struct mega_training_state *state)
{
    struct mega_safetensors file;
    struct mega_store *s = &m->store;
    MEGA_TRY(mega_safetensors_open(&file, path));
    mega_status status = MEGA_OK;
    for (int i = 0; i < COUNTERS && !status; i++) {
        if (counters[i].young && !mega_safetensors_find(&file, counters[i].name)) continue;
        status = read_bytes(&file, path, counters[i].name,
            (char *)state->progress + counters[i].offset, mega_st_item_size(counters[i].dtype));
    }
    int i = 0;
    for (const struct mega_param *p = s->first; !status && p; p = p->next, i++) {
        struct names names;
        size_t size = (size_t)p->count * sizeof(float);
        name_tensors(&names, p->name);
        status = read_bytes(&file, path, names.m, s->moment1 + p->offset, size);
        if (!status) status = read_bytes(&file, path, names.v, s->moment2 + p->offset, size);
        if (!status)
            status = read_bytes(
                &file, path, names.steps, &state->span[i].steps, sizeof state->span[i].steps);
    }
    mega_safetensors_close(&file);
    return status;
}

/* ---- checkpoints ---- */

mega_status mega_checkpoint_save(const struct mega_run_folder *f, const mega_model *m,
    const char *config, const struct mega_training_state *state)
{
    char part[1280], path[1280], inner[1280];
    long long step = (long long)state->progress->step;
    mega_run_folder_path(f, part, "step-%06lld.part", step);
    mega_run_folder_path(f, path, "step-%06lld", step);
    /* a whole checkpoint is never written again: the model of a step is what it is */
    if (mega_path_exists(path))
        return mega_run_folder_point(f, "latest", state->progress->step);
    MEGA_TRY(mega_folder_remove(part));
    MEGA_TRY(mega_model_folder_save(part, m, config));
    if (state->job) MEGA_TRY(mega_job_save(state->job, part));
    MEGA_TRY(mega_folder_make(join(part, "state", inner)));
    MEGA_TRY(save_state(join(part, "state/state.safetensors", inner), m, state));
    MEGA_TRY(mega_folder_sync(part));
    if (rename(part, path)) return mega_fail_errno("rename", part);
    MEGA_TRY(mega_folder_sync(f->path));
    return mega_run_folder_point(f, "latest", state->progress->step);
}

mega_status mega_checkpoint_load(const struct mega_run_folder *f, int64_t step, mega_model *m,
    const struct mega_training_state *state)
{
    char path[1280];
    MEGA_TRY(mega_model_load_weights(
        m, mega_run_folder_path(f, path, "step-%06lld/model.safetensors", (long long)step)));
    return load_state(
        mega_run_folder_path(f, path, "step-%06lld/state/state.safetensors", (long long)step),
        m, state);
}
