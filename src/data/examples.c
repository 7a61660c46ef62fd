#include "data/examples.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

void mega_examples_done(struct mega_examples *e)
{
    free(e->id);
    free(e->start);
    free(e->label);
    free(e->line);
    free(e->name);
    mega_text_done(&e->names);
    *e = (struct mega_examples){ 0 };
}

/* one more of an array that grows; the old one stays if there is no memory */
static bool grow(void *array, size_t item, int64_t room)
{
    void **at = array;
    void *more = realloc(*at, (size_t)room * item);
    if (more) *at = more;
    return more != NULL;
}

static mega_status make_room(struct mega_examples *e, int64_t n)
{
    if (e->n + 1 >= e->room) {
        int64_t room = e->room ? 2 * e->room : 256;
        if (!grow(&e->start, sizeof *e->start, room + 1) ||
            !grow(&e->label, sizeof *e->label, room) ||
            !grow(&e->line, sizeof *e->line, room) || !grow(&e->name, sizeof *e->name, room))
            return mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows", (long long)room);
        e->start[0] = 0;
        e->room = room;
    }
    if (!e->id || e->ids + n > e->id_room) {
        int64_t room = 2 * (e->ids + n) + 1024;
        if (!grow(&e->id, sizeof *e->id, room))
            return mega_fail(MEGA_NO_MEMORY, "no memory for %lld ids", (long long)room);
        e->id_room = room;
    }
    return MEGA_OK;
}

mega_status mega_examples_add(struct mega_examples *e, const int32_t *id, int64_t n,
    int64_t max_length, const char *label, size_t label_size, int64_t line)
{
    if (max_length > 0 && n > max_length) {
        n = max_length;
        e->cut++;
    }
    MEGA_TRY(make_room(e, n));
    if (n) memcpy(e->id + e->ids, id, (size_t)n * sizeof *id);
    e->ids += n;
    e->name[e->n] = label ? (int64_t)e->names.size : -1;
    if (label) {
        mega_text_add_bytes(&e->names, label, label_size);
        mega_text_add_bytes(&e->names, "", 1);
        if (e->names.failed) return mega_fail(MEGA_NO_MEMORY, "no memory for label names");
    }
    e->label[e->n] = -1;
    e->line[e->n] = line;
    e->start[++e->n] = e->ids;
    return MEGA_OK;
}

/* ---- splitting ---- */

static uint64_t row_hash(const struct mega_examples *e, int64_t i)
{
    uint64_t h =
        mega_hash(e->id + e->start[i], (size_t)(e->start[i + 1] - e->start[i]) * sizeof *e->id);
    return mega_hash_join(h, e->name[i] >= 0 ? mega_hash_text(e->names.data + e->name[i]) : 0);
}

static mega_status move_row(const struct mega_examples *e, int64_t i, struct mega_examples *to)
{
    const char *name = e->name[i] >= 0 ? e->names.data + e->name[i] : NULL;
    return mega_examples_add(to, e->id + e->start[i], e->start[i + 1] - e->start[i], 0, name,
        name ? strlen(name) : 0, e->line[i]);
}

mega_status mega_examples_split(
    struct mega_examples *e, double share, struct mega_examples *out)
{
    struct mega_examples rest = { .hash = e->hash, .cut = e->cut };
    *out = (struct mega_examples){ .hash = e->hash };
    mega_status status = MEGA_OK;
    for (int64_t i = 0; i < e->n && !status; i++) {
        bool over = (double)(row_hash(e, i) >> 11) * 0x1p-53 < share;
        status = move_row(e, i, over ? out : &rest);
    }
    if (status) {
        mega_examples_done(&rest);
        mega_examples_done(out);
        return status;
    }
    mega_examples_done(e);
    *e = rest;
    return MEGA_OK;
}

/* ---- labels ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_whole(const char *s)
{
    size_t n = strlen(s + (*s == '-'));
    return n > 0 && n < 18 && strspn(s + (*s == '-'), "0123456789") == n;
}

static int by_number(const void *a, const void *b)
{
    long long x = strtoll(*(const char *const *)a, NULL, 10),
              y = strtoll(*(const char *const *)b, NULL, 10);
    return x != y ? (x > y) - (x < y) : by_bytes(a, b);
}

/* drops repetitions from sorted names; how many are left */
static int64_t distinct(const char **name, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!kept || strcmp(name[kept - 1], name[i]) != 0) name[kept++] = name[i];
    return kept;
}

mega_status mega_labels_collect(const struct mega_examples *e, struct mega_texts *out)
{
    *out = (struct mega_texts){ 0 };
    const char **name = calloc((size_t)e->n + 1, sizeof *name);
    if (!name) return mega_fail(MEGA_NO_MEMORY, "no memory for label names");
    int64_t n = 0;
    size_t size = 0;
    bool numbers = true;
    for (int64_t i = 0; i < e->n; i++)
        if (e->name[i] >= 0) name[n++] = e->names.data + e->name[i];
    qsort(name, (size_t)n, sizeof *name, by_bytes);
    n = distinct(name, n);
    for (int64_t i = 0; i < n; i++) {
        numbers = numbers && is_whole(name[i]);
        size += strlen(name[i]) + 1;
    }
    if (numbers) qsort(name, (size_t)n, sizeof *name, by_number);
    /* pointers and texts in one piece */
    out->item = malloc(((size_t)n + 1) * sizeof *name + size);
    if (out->item) {
        char *text = (char *)(out->item + n + 1);
        for (int64_t i = 0; i < n; i++) {
            out->item[i] = strcpy(text, name[i]);
            text += strlen(name[i]) + 1;
        }
        out->n = (int)n;
    }
    free(name);
    return out->item ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for label names");
}

void mega_labels_done(struct mega_texts *labels)
{
    free(labels->item);
    *labels = (struct mega_texts){ 0 };
}

mega_status mega_labels_apply(
    struct mega_examples *e, const char *file, const struct mega_texts *labels)
{
    for (int64_t i = 0; i < e->n; i++) {
        if (e->name[i] < 0) continue;
        const char *name = e->names.data + e->name[i];
        for (int k = 0; k < labels->n && e->label[i] < 0; k++)
            if (!strcmp(labels->item[k], name)) e->label[i] = k;
        if (e->label[i] < 0)
            return mega_fail(MEGA_BAD_FILE,
                "%s:%lld: the label '%.60s' is not one of the %d that the model knows (%s, "
                "...)",
                file, (long long)e->line[i], name, labels->n,
                labels->n ? labels->item[0] : "none");
    }
    return MEGA_OK;
}
