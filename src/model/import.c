#include "model/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct importer {
    struct mega_store *store;
    const struct mega_tensors *from;
    const struct mega_name_table *names;
    const struct mega_rename_heads *heads;
    char prefix[MEGA_RENAME_NAME]; /* of their names in this source */
    bool *used;                    /* [from->n] */
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* ---- their names ---- */

/* what stands before the probe's name stands before all */
static mega_status find_prefix(struct importer *m)
{
    const char *table = m->names->probe;
    bool found = false;
    for (int i = 0; i < m->from->n; i++) {
        const char *name = m->from->tensor[i].is.name;
        size_t before = strlen(name) - (ends_with(name, table) ? strlen(table) : strlen(name));
        if (!ends_with(name, table) || (before && name[before - 1] != '.')) continue;
        if (found)
            return mega_fail(MEGA_BAD_FILE,
                "%s: tensors %s%s and %s: two models in one file, expected one", m->from->path,
                m->prefix, table, name);
        if (before >= sizeof m->prefix) continue;
        memcpy(m->prefix, name, before);
        m->prefix[before] = 0;
        found = true;
    }
    return found ? MEGA_OK
                 : mega_fail(MEGA_BAD_FILE,
                       "%s: tensor %s is missing: not a %s, or only a part of it",
                       m->from->path, table, m->names->title);
}

/* heads stand outside of the body that has the prefix */
static const struct mega_named *find_either(const struct importer *m, const char *theirs)
{
    char name[2 * MEGA_RENAME_NAME];
    snprintf(name, sizeof name, "%s%s", m->prefix, theirs);
    const struct mega_named *t = mega_tensors_find(m->from, name);
    return t ? t : mega_tensors_find(m->from, theirs);
}

/* the name that an older file has for a norm's gain or bias */
static const struct mega_named *find_older(const struct importer *m, const char *theirs)
{
    static const char gain[] = "LayerNorm.weight", bias[] = "LayerNorm.bias";
    char name[MEGA_RENAME_NAME];
    bool is_gain = ends_with(theirs, gain);
    if (!m->names->gamma || (!is_gain && !ends_with(theirs, bias))) return NULL;
    snprintf(name, sizeof name, "%.*s.%s", (int)(strrchr(theirs, '.') - theirs), theirs,
        is_gain ? "gamma" : "beta");
    return find_either(m, name);
}

static const struct mega_named *find(const struct importer *m, const char *theirs)
{
    const struct mega_named *t = find_either(m, theirs);
    if (!t) t = find_older(m, theirs);
    if (t) m->used[t - m->from->tensor] = true;
    return t;
}

/* ---- one parameter ---- */

static mega_status check_shape(const struct importer *m, const mega_tensor *ours,
    const struct mega_rename *r, const struct mega_named *t)
{
    int64_t want[MEGA_RANK] = { 0 };
    char found[200], expected[96];
    int rank = mega_rename_shape(r, ours->rank, ours->dim, want);
    bool same = t->is.rank == rank;
    for (int i = 0; same && i < rank; i++) same = t->is.dim[i] == want[i];
    if (same) return MEGA_OK;
    mega_tensor theirs = mega_tensor_over(NULL, MEGA_F32, rank, want);
    return mega_fail(MEGA_BAD_FILE,
        "%s: tensor %.200s is %s, expected %s: is this its configuration?", m->from->path,
        t->is.name, mega_named_print(t, found), mega_tensor_print(&theirs, expected));
}

/* their numbers into their places in ours */
static mega_status take(const struct importer *m, const struct mega_rename *r,
    const struct mega_named *t, mega_tensor *ours)
{
    int64_t rows = ours->rank ? ours->dim[0] : 1, columns = rows ? mega_count(ours) / rows : 0;
    struct mega_rename_place place = mega_rename_place(m->names, r, m->heads, rows, columns);
    bool as_it_is = !place.head && !r->parts && r->how != MEGA_RENAME_TURNED;
    if (as_it_is && ours->dtype == MEGA_F32)
        return mega_named_read(t, m->from->path, ours->data);
    float *theirs = malloc(((size_t)t->is.count + 1) * sizeof *theirs);
    if (!theirs) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", m->from->path);
    mega_status status = mega_named_read(t, m->from->path, theirs);
    for (int64_t i = 0; !status && i < rows * columns; i++) {
        int64_t from = as_it_is ? i : mega_rename_index(&place, i / columns, i % columns);
        if (from >= 0)
            mega_put(ours, i / mega_width(ours), i % mega_width(ours), (double)theirs[from]);
    }
    free(theirs);
    return status;
}

/* a tensor of ours from all that it is made of */
static mega_status import_tensor(const struct importer *m, const char *name, mega_tensor *ours)
{
    char theirs[MEGA_RENAME_NAME];
    const struct mega_rename *r = mega_rename_theirs(m->names, name, NULL, theirs);
    if (!r)
        return mega_fail(MEGA_UNSUPPORTED, "%s: a %s has nothing for tensor %s of this model",
            m->from->path, m->names->title, name);
    for (; r; r = mega_rename_theirs(m->names, name, r, theirs)) {
        const struct mega_named *t = find(m, theirs);
        if (!t)
            return mega_fail(
                MEGA_BAD_FILE, "%s: tensor %s%s is missing", m->from->path, m->prefix, theirs);
        MEGA_TRY(check_shape(m, ours, r, t));
        if (m->store->value) MEGA_TRY(take(m, r, t, ours));
    }
    return MEGA_OK;
}

/* before the layout a buffer has no tensor yet */
static mega_status import_cell(const struct importer *m, struct mega_cell *c)
{
    mega_tensor declared = mega_tensor_over(NULL, c->dtype, c->rank, c->dim);
    return import_tensor(m, c->name, m->store->value ? &c->value : &declared);
}

/* ---- what is left ---- */

static bool ignored(const struct mega_name_table *names, const char *name)
{
    for (const char *const *end = names->ignored; *end; end++)
        if (ends_with(name, *end)) return true;
    return false;
}

/* a second copy of a tied tensor */
static mega_status check_copy(const struct importer *m, const struct mega_named *t,
    const struct mega_param *p, const struct mega_rename *r)
{
    MEGA_TRY(check_shape(m, &p->value, r, t));
    float *copy = malloc((size_t)p->count * sizeof *copy);
    if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", m->from->path);
    mega_status status = mega_named_read(t, m->from->path, copy);
    if (!status && memcmp(copy, p->value.data, (size_t)p->count * sizeof *copy) != 0)
        status = mega_fail(MEGA_BAD_FILE,
            "%s: tensor %.200s differs from %s, but the configuration ties them", m->from->path,
            t->is.name, p->name);
    free(copy);
    return status;
}

static mega_status check_left(const struct importer *m, const struct mega_named *t)
{
    char ours[MEGA_RENAME_NAME];
    const char *name = t->is.name;
    size_t prefix = strlen(m->prefix);
    if (ignored(m->names, name)) return MEGA_OK;
    const struct mega_rename *r = mega_rename_same(m->names, name, ours);
    if (!r && !strncmp(name, m->prefix, prefix))
        r = mega_rename_same(m->names, name + prefix, ours);
    const struct mega_param *p = r ? mega_store_find(m->store, ours) : NULL;
    if (p) return m->store->value ? check_copy(m, t, p, r) : check_shape(m, &p->value, r, t);
    return mega_fail(MEGA_BAD_FILE,
        "%s: tensor %.200s does not belong to this model: is this its configuration?",
        m->from->path, name);
}

static mega_status import(struct importer *m)
{
    MEGA_TRY(find_prefix(m));
    for (struct mega_param *p = m->store->first; p; p = p->next) {
        MEGA_TRY(import_tensor(m, p->name, &p->value));
        p->version++;
    }
    for (struct mega_cell *c = m->store->first_cell; c && m->names->ours; c = c->next)
        if (c->kind == MEGA_CELL_MODEL) MEGA_TRY(import_cell(m, c));
    for (int i = 0; i < m->from->n; i++)
        if (!m->used[i]) MEGA_TRY(check_left(m, &m->from->tensor[i]));
    return MEGA_OK;
}

mega_status mega_import(struct mega_store *s, const struct mega_tensors *from,
    const struct mega_name_table *names, const struct mega_rename_heads *heads)
{
    struct importer m = { .store = s, .from = from, .names = names, .heads = heads };
    m.used = calloc((size_t)from->n + 1, sizeof *m.used);
    if (!m.used) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", from->path);
    mega_status status = import(&m);
    free(m.used);
    return status;
}
