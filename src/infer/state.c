#include "infer/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "format/safetensors.h"

#define FORMAT "1"

/* numbers of a text beside its ids, in the file's order */
enum { FED, NUMBER, ENDING, PLACE, NUMBERS };

static void print_hash(const struct mega_composer *c, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)mega_store_hash(c->model->store));
}

/* "text.3.keys" */
static char *name_of(struct mega_arena *a, int64_t text, const char *what)
{
    char name[512];
    snprintf(name, sizeof name, "text.%lld.%s", (long long)text, what);
    return mega_arena_text(a, name);
}

/* a ROW cell's state, or the places of a log that count; `t->name` is set */
static void describe(
    struct mega_st_tensor *t, const mega_stream *s, const struct mega_cell *c, int64_t row)
{
    t->rank = 0;
    if (c->kind == MEGA_CELL_LOG) t->dim[t->rank++] = mega_stream_count(s, c, row);
    for (int i = 0; i < c->rank; i++) t->dim[t->rank++] = c->dim[i];
    snprintf(t->dtype, sizeof t->dtype, "%s", mega_dtype_name(c->dtype));
    t->count = 1;
    for (int i = 0; i < t->rank; i++) t->count *= t->dim[i];
    t->size = (size_t)t->count * mega_dtype_size(c->dtype);
}

/* ---- saving ---- */

struct list {
    struct mega_arena arena;
    struct mega_st_tensor *tensor;
    int n;
};

static bool add_text(struct list *l, const struct mega_composer *c, int64_t k)
{
    const struct mega_draft *d = &c->draft[k];
    int64_t row, *number = mega_arena_get(&l->arena, NUMBERS * sizeof *number);
    const mega_stream *stream = mega_slots_stream(&c->slots, d->slot, &row);
    if (!number) return false;
    number[FED] = d->fed;
    number[NUMBER] = (int64_t)d->number;
    number[ENDING] = d->ending;
    number[PLACE] = mega_stream_places(stream)[row];
    l->tensor[l->n++] = (struct mega_st_tensor){ .name = name_of(&l->arena, k, "ids"),
        .dtype = "I32",
        .rank = 1,
        .dim = { d->n },
        .data = d->id };
    l->tensor[l->n++] = (struct mega_st_tensor){ .name = name_of(&l->arena, k, "stands"),
        .dtype = "I64",
        .rank = 1,
        .dim = { NUMBERS },
        .data = number };
    for (const struct mega_cell *cell = c->model->store->first_cell; cell; cell = cell->next) {
        if (cell->kind == MEGA_CELL_MODEL) continue;
        struct mega_st_tensor *t = &l->tensor[l->n++];
        *t = (struct mega_st_tensor){ .name = name_of(&l->arena, k, cell->name) };
        describe(t, stream, cell, row);
        void *values = mega_arena_get(&l->arena, t->size);
        if (!values || !t->name) return false;
        mega_stream_read(stream, cell, row, values);
        t->data = values;
    }
    return true;
}

static mega_status write_list(
    const char *path, const struct list *l, const struct mega_composer *c, const char *model)
{
    char hash[17], texts[24];
    print_hash(c, hash);
    snprintf(texts, sizeof texts, "%lld", (long long)c->n);
    const struct mega_st_entry meta[] = { { "mega.state", FORMAT }, { "mega.model", model },
        { "mega.model.hash", hash }, { "mega.texts", texts } };
    return mega_safetensors_write(path, l->tensor, l->n, meta, sizeof meta / sizeof *meta);
}

mega_status mega_state_save(const char *path, const struct mega_composer *c, const char *model)
{
    for (int64_t k = 0; k < c->n; k++)
        if (c->draft[k].slot < 0)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%lld texts by %lld at a time leave no state of the first to save: compose "
                "them all side by side",
                (long long)c->n, (long long)c->options.rows);
    struct list l = { .n = 0 };
    MEGA_TRY(mega_arena_init(&l.arena, (size_t)1 << 40));
    size_t most = (size_t)c->n * (size_t)(2 + c->model->store->n_cells) + 1;
    l.tensor = mega_arena_zeroed(&l.arena, most * sizeof *l.tensor);
    bool made = l.tensor != NULL;
    for (int64_t k = 0; k < c->n && made; k++) made = add_text(&l, c, k);
    mega_status status = made ? write_list(path, &l, c, model)
                              : mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    mega_arena_done(&l.arena);
    return status;
}

/* ---- loading ---- */

/* a state file that is open, and whose model is this one */
struct file {
    struct mega_safetensors st;
    const char *path;
};

static mega_status bad(const struct file *f, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: %s", f->path, what);
}

static mega_status check_model(
    const struct file *f, const struct mega_composer *c, const char *model)
{
    char hash[17];
    const char *format = mega_safetensors_meta(&f->st, "mega.state"),
               *theirs = mega_safetensors_meta(&f->st, "mega.model.hash"),
               *name = mega_safetensors_meta(&f->st, "mega.model");
    if (!format || !theirs) return bad(f, "is not a state that mega generate saved");
    if (strcmp(format, FORMAT))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: a state of format %s, this program reads format " FORMAT, f->path, format);
    print_hash(c, hash);
    if (!strcmp(theirs, hash)) return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE,
        "%s: the state of another model: of %s (parameters %s), but %s has parameters %s",
        f->path, name ? name : "one without a name", theirs, model, hash);
}

static mega_status find(
    const struct file *f, int64_t text, const char *what, const struct mega_st_tensor **out)
{
    char name[512];
    snprintf(name, sizeof name, "text.%lld.%s", (long long)text, what);
    *out = mega_safetensors_find(&f->st, name);
    return *out ? MEGA_OK : mega_fail(MEGA_BAD_FILE, "%s: tensor %s is missing", f->path, name);
}

static mega_status load_cell(
    const struct file *f, int64_t text, mega_stream *s, const struct mega_cell *c, int64_t row)
{
    const struct mega_st_tensor *t;
    struct mega_st_tensor wanted = { 0 };
    MEGA_TRY(find(f, text, c->name, &t));
    describe(&wanted, s, c, row);
    bool same = t->rank == wanted.rank && !strcmp(t->dtype, wanted.dtype);
    for (int i = 0; same && i < t->rank; i++) same = t->dim[i] == wanted.dim[i];
    if (!same)
        return mega_fail(MEGA_BAD_FILE,
            "%s: tensor %s does not have the type and shape of this model's state after %d "
            "places",
            f->path, t->name, (int)mega_stream_places(s)[row]);
    mega_stream_write(s, c, row, t->data);
    return MEGA_OK;
}

/* a text's ids and where it stands, without its stream */
static mega_status load_text(
    const struct file *f, struct mega_composer *c, int64_t k, int64_t *place)
{
    const struct mega_st_tensor *ids, *stands;
    MEGA_TRY(find(f, k, "ids", &ids));
    MEGA_TRY(find(f, k, "stands", &stands));
    if (strcmp(ids->dtype, "I32") || ids->rank != 1 || ids->count < 1 ||
        strcmp(stands->dtype, "I64") || stands->count != NUMBERS)
        return bad(f, "the ids of a text are not what they should be");
    int64_t fed = mega_st_int(stands, FED), ending = mega_st_int(stands, ENDING);
    *place = mega_st_int(stands, PLACE);
    if (fed < 1 || fed >= ids->count || *place < 1 || *place > fed || ending < 0 ||
        ending > MEGA_ENDING_INTERRUPTED || (c->model->longest && *place > c->model->longest))
        return bad(f, "a text stands where it cannot stand");
    int32_t *id = malloc(ids->size);
    if (!id) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    memcpy(id, ids->data, ids->size);
    mega_status status = mega_composer_take_up(c, id, ids->count, fed,
        (uint64_t)mega_st_int(stands, NUMBER), (enum mega_ending)ending);
    free(id);
    return status ? mega_fail_in(status, "%s: ", f->path) : MEGA_OK;
}

static mega_status load_rows(
    const struct file *f, struct mega_composer *c, const int64_t *place)
{
    MEGA_TRY(mega_composer_open_slots(c, c->n));
    for (int64_t k = 0; k < c->n; k++) {
        int64_t row;
        mega_stream *s = mega_slots_stream(&c->slots, k, &row);
        c->draft[k].slot = c->taken[k] = k;
        mega_stream_set_place(s, row, (int32_t)place[k]);
        for (const struct mega_cell *cell = c->model->store->first_cell; cell;
             cell = cell->next)
            if (cell->kind != MEGA_CELL_MODEL) MEGA_TRY(load_cell(f, k, s, cell, row));
    }
    return MEGA_OK;
}

static mega_status load_all(const struct file *f, struct mega_composer *c, const char *model)
{
    enum { MOST = 4096 };
    MEGA_TRY(check_model(f, c, model));
    const char *texts = mega_safetensors_meta(&f->st, "mega.texts");
    char *end = NULL;
    long n = texts ? strtol(texts, &end, 10) : 0;
    if (!end || *end || n < 1 || n > MOST) return bad(f, "the number of texts is missing");
    int64_t *place = malloc((size_t)n * sizeof *place);
    if (!place) return mega_fail(MEGA_NO_MEMORY, "no memory for texts");
    mega_status status = MEGA_OK;
    for (long k = 0; k < n && !status; k++) status = load_text(f, c, k, &place[k]);
    if (!status) status = load_rows(f, c, place);
    free(place);
    return status;
}

mega_status mega_state_parse(
    const char *name, const void *bytes, size_t n, struct mega_composer *c, const char *model)
{
    struct file f = { .path = name };
    if (c->n) return mega_fail(MEGA_INTERNAL, "a state for a composer that has texts");
    MEGA_TRY(mega_safetensors_parse(&f.st, name, bytes, n));
    mega_status status = load_all(&f, c, model);
    mega_safetensors_close(&f.st);
    return status;
}

mega_status mega_state_load(const char *path, struct mega_composer *c, const char *model)
{
    struct mega_map map;
    MEGA_TRY(mega_map_open(&map, path));
    mega_status status = mega_state_parse(path, map.data, map.size, c, model);
    mega_map_close(&map);
    return status;
}
