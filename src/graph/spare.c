#include "graph/spare.h"

#include "base/arena.h"

static size_t rounded(size_t size)
{
    return (size + MEGA_ALIGN - 1) / MEGA_ALIGN * MEGA_ALIGN;
}

static struct spare_place drop(struct spare *s, int i)
{
    struct spare_place was = s->place[i];
    s->place[i] = s->place[--s->n];
    return was;
}

void spare_give(struct spare *s, void *at, size_t size)
{
    struct spare_place p = { at, rounded(size) };
    if (!at || !p.size) return;
    for (int i = 0; i < s->n;) {
        const struct spare_place *o = &s->place[i];
        if (o->at + o->size == p.at) {
            p = (struct spare_place){ o->at, o->size + p.size };
            drop(s, i);
            i = 0;
        } else if (p.at + p.size == o->at) {
            p.size += o->size;
            drop(s, i);
            i = 0;
        } else {
            i++;
        }
    }
    if (s->n < SPARE_MOST) s->place[s->n++] = p;
}

void *spare_take(struct spare *s, size_t size)
{
    int best = -1;
    size = rounded(size);
    for (int i = 0; i < s->n; i++)
        if (s->place[i].size >= size && (best < 0 || s->place[i].size < s->place[best].size))
            best = i;
    if (best < 0 || !size) return NULL;
    struct spare_place *p = &s->place[best];
    p->size -= size;
    void *taken = p->at + p->size;
    if (!p->size) drop(s, best);
    return taken;
}

void spare_cut(struct spare *s, const void *from, const void *to)
{
    for (int i = s->n - 1; i >= 0; i--) {
        struct spare_place *p = &s->place[i];
        if (p->at >= (const char *)to || p->at + p->size <= (const char *)from) continue;
        /* a place may begin below */
        if (p->at < (const char *)from)
            p->size = (size_t)((const char *)from - p->at);
        else
            drop(s, i);
    }
}
