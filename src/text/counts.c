#include "text/counts.h"

#include <stdlib.h>

mega_status mega_counts_init(struct mega_counts *c)
{
    *c = (struct mega_counts){ 0 };
    MEGA_TRY(mega_arena_init(&c->arena, (size_t)1 << 36));
    c->texts.arena = &c->arena;
    return MEGA_OK;
}

void mega_counts_done(struct mega_counts *c)
{
    mega_vocab_done(&c->texts);
    mega_arena_done(&c->arena);
    free(c->count);
    *c = (struct mega_counts){ 0 };
}

mega_status mega_counts_add(struct mega_counts *c, const char *text, size_t n, int64_t times)
{
    int32_t i = mega_vocab_find(&c->texts, text, n);
    if (i < 0) {
        i = c->texts.n;
        if (i == c->room) {
            int32_t room = c->room ? 2 * c->room : 4096;
            int64_t *count = realloc(c->count, (size_t)room * sizeof *count);
            if (!count || i > INT32_MAX / 2)
                return mega_fail(MEGA_NO_MEMORY, "no memory to count words");
            c->count = count;
            c->room = room;
        }
        MEGA_TRY(mega_vocab_set(&c->texts, i, text, n, 0));
        c->count[i] = 0;
    }
    c->count[i] += times;
    return MEGA_OK;
}

static int by_count(const void *a, const void *b, void *arg)
{
    const struct mega_counts *c = arg;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (c->count[i] != c->count[j]) return c->count[i] < c->count[j] ? 1 : -1;
    const struct mega_span *x = &c->texts.piece[i].text, *y = &c->texts.piece[j].text;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

int32_t *mega_counts_sorted(const struct mega_counts *c)
{
    int32_t *order = malloc(((size_t)c->texts.n + 1) * sizeof *order);
    if (!order) return NULL;
    for (int32_t i = 0; i < c->texts.n; i++) order[i] = i;
    qsort_r(order, (size_t)c->texts.n, sizeof *order, by_count, (void *)(uintptr_t)c);
    return order;
}
