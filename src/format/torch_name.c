/* Which part of what was saved is the model, and the names of its tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/torch.h"

/* Values may hold themselves or be shared a thousandfold: depth and steps have bounds. */
enum { DEPTH_MOST = 16, NAME_MOST = 512, STEPS_MOST = 1 << 22, EXPANDED_MOST = 1 << 24 };

static const struct mega_torch_tensor *tensor_of(const struct mega_value *v)
{
    return v->kind == MEGA_VALUE_FOREIGN && v->tag == MEGA_TORCH_TENSOR ? v->thing : NULL;
}

/* a map with tensors, or with such maps */
static bool has_tensors(const struct mega_value *map, int depth, int64_t *steps)
{
    if (map->kind != MEGA_VALUE_MAP || depth > DEPTH_MOST) return false;
    for (size_t i = 0; i + 1 < map->n && ++*steps < STEPS_MOST; i += 2)
        if (tensor_of(map->item[i + 1]) || has_tensors(map->item[i + 1], depth + 1, steps))
            return true;
    return false;
}

/* goes into wrappers as long as there are tensors in them; beside them may stand others */
static const struct mega_value *find_state(const struct mega_value *root)
{
    static const char *const wrappers[] = { "model", "state_dict", "model_state_dict",
        "module" };
    for (int depth = 0; depth < DEPTH_MOST; depth++) {
        const struct mega_value *inner = NULL;
        int64_t steps = 0;
        for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers && !inner; i++) {
            inner = mega_value_find(root, wrappers[i]);
            if (inner && !has_tensors(inner, 0, &steps)) inner = NULL;
        }
        if (!inner) break;
        root = inner;
    }
    return root;
}

/* ---- one tensor ---- */

struct walk {
    struct mega_torch *t;
    struct mega_named *tensor;
    size_t n, room;
    int64_t steps;
    char name[NAME_MOST];
};

static mega_status refuse(const struct walk *w, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: tensor %s: %s", w->t->path, w->name, what);
}

/* elements and bytes, and that all of them lie in the storage */
static mega_status check_tensor(
    const struct walk *w, const struct mega_torch_tensor *t, struct mega_named *to)
{
    int64_t count = 1, last = t->offset, item = (int64_t)mega_named_item(t->dtype), bytes;
    int64_t room = *t->storage->dtype ? t->storage->count : t->storage->count / item;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(count, t->dim[i], &count))
            return refuse(w, "its shape overflows");
    for (int i = 0; i < t->rank && count; i++) {
        int64_t far;
        if (__builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &far) ||
            __builtin_add_overflow(last, far, &last))
            return refuse(w, "its strides overflow");
    }
    if (__builtin_mul_overflow(count, item, &bytes)) return refuse(w, "its shape overflows");
    if (count && last >= room)
        return mega_fail(MEGA_BAD_FILE,
            "%s: tensor %s: element %lld of storage %.100s, which has %lld", w->t->path,
            w->name, (long long)last, t->storage->key, (long long)room);
    if (count > room && count > EXPANDED_MOST)
        return refuse(w, "a small storage repeated into a huge tensor");
    to->is.count = count;
    to->is.size = (size_t)bytes;
    return MEGA_OK;
}

static mega_status add_tensor(struct walk *w, const struct mega_torch_tensor *t)
{
    struct mega_arena *a = &w->t->pickle.arena;
    if (w->n == w->room) {
        size_t room = w->room ? 2 * w->room : 64;
        struct mega_named *more = mega_arena_get(a, room * sizeof *more);
        if (!more) return mega_pickle_no_memory(&w->t->pickle);
        if (w->n) memcpy(more, w->tensor, w->n * sizeof *more);
        w->tensor = more;
        w->room = room;
    }
    struct mega_named *to = &w->tensor[w->n];
    *to = (struct mega_named){ .is = { .name = mega_arena_text(a, w->name), .rank = t->rank } };
    if (!to->is.name) return mega_pickle_no_memory(&w->t->pickle);
    MEGA_TRY(check_tensor(w, t, to));
    strcpy(to->is.dtype, t->dtype);
    memcpy(to->is.dim, t->dim, sizeof t->dim);
    memcpy(to->stride, t->stride, sizeof t->stride);
    if (to->is.count)
        to->is.data = t->storage->data + (size_t)t->offset * mega_named_item(t->dtype);
    w->n++;
    return MEGA_OK;
}

/* ---- all tensors ---- */

static mega_status visit(struct walk *w, const struct mega_value *v, int depth);

/* extends the name by one part, visits, and takes it off again */
static mega_status visit_part(
    struct walk *w, const char *part, const struct mega_value *v, int depth)
{
    size_t before = strlen(w->name);
    int n =
        snprintf(w->name + before, sizeof w->name - before, "%s%s", before ? "." : "", part);
    if (n < 0 || (size_t)n >= sizeof w->name - before)
        return mega_fail(
            MEGA_BAD_FILE, "%s: a name of more than %d letters", w->t->path, NAME_MOST);
    mega_status status = visit(w, v, depth);
    w->name[before] = 0;
    return status;
}

static mega_status visit_map(struct walk *w, const struct mega_value *v, int depth)
{
    for (size_t i = 0; i + 1 < v->n; i += 2) {
        const struct mega_value *key = v->item[i];
        char number[24];
        snprintf(number, sizeof number, "%lld",
            key->kind == MEGA_VALUE_INT ? (long long)key->integer : 0);
        if (key->kind == MEGA_VALUE_TEXT || key->kind == MEGA_VALUE_INT)
            MEGA_TRY(visit_part(w, key->kind == MEGA_VALUE_TEXT ? key->text : number,
                v->item[i + 1], depth + 1));
    }
    return MEGA_OK;
}

static mega_status visit_list(struct walk *w, const struct mega_value *v, int depth)
{
    for (size_t i = 0; i < v->n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        MEGA_TRY(visit_part(w, number, v->item[i], depth + 1));
    }
    return MEGA_OK;
}

/* what is no tensor and holds none plays no part */
static mega_status visit(struct walk *w, const struct mega_value *v, int depth)
{
    if (depth > DEPTH_MOST || ++w->steps > STEPS_MOST)
        return mega_fail(MEGA_BAD_FILE,
            "%s: maps in maps without an end: expected tensors by their names", w->t->path);
    const struct mega_torch_tensor *t = tensor_of(v);
    if (t) return add_tensor(w, t);
    if (v->kind == MEGA_VALUE_MAP) return visit_map(w, v, depth);
    if (v->kind == MEGA_VALUE_LIST || v->kind == MEGA_VALUE_TUPLE)
        return visit_list(w, v, depth);
    return MEGA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct mega_named *)a)->is.name, ((const struct mega_named *)b)->is.name);
}

mega_status mega_torch_name(struct mega_torch *t)
{
    struct walk w = { .t = t };
    t->state = find_state(t->root);
    MEGA_TRY(visit(&w, t->state, 0));
    if (!w.n)
        return mega_fail(MEGA_BAD_FILE,
            "%s holds no tensors by their names: expected a state dict, alone or as 'model' or "
            "'state_dict'",
            t->path);
    qsort(w.tensor, w.n, sizeof *w.tensor, by_name);
    for (size_t i = 1; i < w.n; i++)
        if (!strcmp(w.tensor[i - 1].is.name, w.tensor[i].is.name))
            return mega_fail(MEGA_BAD_FILE, "%s: tensor %.200s is there twice", t->path,
                w.tensor[i].is.name);
    t->tensor = w.tensor;
    t->n = (int)w.n;
    return MEGA_OK;
}
