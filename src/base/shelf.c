#include "base/shelf.h"

static bool same(const struct mega_shelf_key *a, const struct mega_shelf_key *b)
{
    return a->from == b->from && a->stride == b->stride && a->rows == b->rows &&
           a->columns == b->columns && a->kind == b->kind;
}

static void *find(struct mega_shelf *s, const struct mega_shelf_key *key)
{
    int n = atomic_load_explicit(&s->n, memory_order_acquire);
    for (int i = 0; i < n; i++)
        if (same(&s->item[i].key, key)) return s->item[i].at;
    return NULL;
}

static void *make_item(struct mega_shelf *s, const struct mega_shelf_key *key, size_t bytes,
    void (*make)(void *arg, void *room), void *arg)
{
    int n = atomic_load_explicit(&s->n, memory_order_relaxed);
    void *at = n < MEGA_SHELF_ITEMS ? mega_arena_get(s->room, bytes) : NULL;
    if (!at) return NULL;
    make(arg, at);
    s->item[n] = (struct mega_shelf_item){ *key, at };
    atomic_store_explicit(&s->n, n + 1, memory_order_release);
    return at;
}

void *mega_shelf_get(struct mega_shelf *s, const struct mega_shelf_key *key, size_t bytes,
    void (*make)(void *arg, void *room), void *arg)
{
    void *at = find(s, key);
    if (at) return at;
#pragma omp critical(mega_shelf)
    {
        /* it may have come while we waited */
        at = find(s, key);
        if (!at) at = make_item(s, key, bytes, make, arg);
    }
    return at;
}
