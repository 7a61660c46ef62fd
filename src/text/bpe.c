#include "text/bpe.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- rules ---- */

static uint32_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

static struct mega_merge *place_of(const struct mega_merges *m, int32_t left, int32_t right)
{
    for (uint32_t i = hash_pair(left, right) & m->mask;; i = (i + 1) & m->mask) {
        struct mega_merge *s = &m->slot[i];
        if (s->left < 0 || (s->left == left && s->right == right)) return s;
    }
}

static bool grow(struct mega_merges *m)
{
    uint32_t slots = m->slot ? m->mask + 1 : 0;
    if (2 * ((uint32_t)m->n + 1) <= slots) return true;
    struct mega_merges larger = { .n = m->n, .mask = slots ? 2 * slots - 1 : 1023 };
    larger.slot = malloc(((size_t)larger.mask + 1) * sizeof *larger.slot);
    if (!larger.slot) return false;
    memset(larger.slot, 0xFF, ((size_t)larger.mask + 1) * sizeof *larger.slot);
    for (uint32_t i = 0; i < slots; i++)
        if (m->slot[i].left >= 0)
            *place_of(&larger, m->slot[i].left, m->slot[i].right) = m->slot[i];
    free(m->slot);
    *m = larger;
    return true;
}

mega_status mega_merges_add(struct mega_merges *m, struct mega_merge merge, bool replace)
{
    if (!grow(m)) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer's merges");
    struct mega_merge *place = place_of(m, merge.left, merge.right);
    m->n += place->left < 0;
    if (place->left < 0 || replace) *place = merge;
    return MEGA_OK;
}

const struct mega_merge *mega_merges_find(
    const struct mega_merges *m, int32_t left, int32_t right)
{
    if (!m->slot) return NULL;
    const struct mega_merge *found = place_of(m, left, right);
    return found->left < 0 ? NULL : found;
}

void mega_merges_done(struct mega_merges *m)
{
    free(m->slot);
    *m = (struct mega_merges){ 0 };
}

/* ---- memory ---- */

int32_t *mega_merging_room(struct mega_merging *w, size_t n)
{
    if (n <= w->room) return w->symbol;
    size_t room = n + n / 2 + 64;
    int32_t *symbol = realloc(w->symbol, room * sizeof *symbol);
    if (!symbol) return NULL;
    w->symbol = symbol;
    w->room = room;
    return symbol;
}

uint32_t *mega_merging_offsets(struct mega_merging *w, size_t n)
{
    if (n <= w->offsets) return w->offset;
    uint32_t *offset = realloc(w->offset, n * sizeof *offset);
    if (!offset) return NULL;
    w->offset = offset;
    w->offsets = n;
    return offset;
}

void mega_merging_done(struct mega_merging *w)
{
    free(w->offset);
    free(w->symbol);
    free(w->next);
    free(w->before);
    free(w->heap);
    *w = (struct mega_merging){ 0 };
}

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to encode a long word");
}

/* ---- short words: look for the best pair again and again ---- */

enum { SHORT = 48 };

static size_t merge_short(const struct mega_merges *m, int32_t *symbol, size_t n)
{
    int32_t rank[SHORT], joined[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const struct mega_merge *found = mega_merges_find(m, symbol[i], symbol[i + 1]);
        rank[i] = found ? found->rank : INT_MAX;
        joined[i] = found ? found->joined : -1;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == INT_MAX) break;
        symbol[best] = joined[best];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            symbol[i] = symbol[i + 1];
            rank[i - 1] = rank[i];
            joined[i - 1] = joined[i];
        }
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const struct mega_merge *found = mega_merges_find(m, symbol[i], symbol[i + 1]);
            rank[i] = found ? found->rank : INT_MAX;
            joined[i] = found ? found->joined : -1;
        }
    }
    return n;
}

/* ---- long words: a heap of pairs over a list of symbols ---- */

struct mega_candidate {
    int32_t rank;
    uint32_t at;         /* where its left symbol stands */
    int32_t left, right; /* what it would join: another pair by then, and it is stale */
};

static bool comes_before(const struct mega_candidate *a, const struct mega_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static bool push(struct mega_merging *w, struct mega_candidate c)
{
    if (w->waiting == w->heap_room) {
        size_t room = w->heap_room ? w->heap_room + w->heap_room / 2 : 256;
        struct mega_candidate *heap = realloc(w->heap, room * sizeof *heap);
        if (!heap) return false;
        w->heap = heap;
        w->heap_room = room;
    }
    size_t i = w->waiting++;
    for (; i && comes_before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return true;
}

static struct mega_candidate pop(struct mega_merging *w)
{
    struct mega_candidate first = w->heap[0], last = w->heap[--w->waiting];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->waiting; i = child) {
        if (child + 1 < w->waiting && comes_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!comes_before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return first;
}

static bool offer(const struct mega_merges *m, struct mega_merging *w, int32_t at)
{
    int32_t next = at < 0 ? -1 : w->next[at];
    if (next < 0) return true;
    int32_t left = w->symbol[at], right = w->symbol[next];
    const struct mega_merge *found = mega_merges_find(m, left, right);
    return !found || push(w, (struct mega_candidate){ found->rank, (uint32_t)at, left, right });
}

static bool make_links(struct mega_merging *w, size_t n)
{
    if (n > w->links) {
        int32_t *next = realloc(w->next, n * sizeof *next);
        if (next) w->next = next;
        int32_t *before = next ? realloc(w->before, n * sizeof *before) : NULL;
        if (!before) return false;
        w->before = before;
        w->links = n;
    }
    for (size_t i = 0; i < n; i++) {
        w->next[i] = i + 1 < n ? (int32_t)i + 1 : -1;
        w->before[i] = (int32_t)i - 1;
    }
    return true;
}

static mega_status merge_long(
    const struct mega_merges *m, struct mega_merging *w, size_t n, size_t *left)
{
    w->waiting = 0;
    if (n > INT32_MAX || !make_links(w, n)) return no_memory();
    for (size_t i = 0; i + 1 < n; i++)
        if (!offer(m, w, (int32_t)i)) return no_memory();
    while (w->waiting) {
        struct mega_candidate c = pop(w);
        int32_t at = (int32_t)c.at, next = w->next[at];
        if (next < 0 || w->symbol[at] != c.left || w->symbol[next] != c.right) continue;
        w->symbol[at] = mega_merges_find(m, c.left, c.right)->joined;
        /* the right one leaves the list */
        w->symbol[next] = -1;
        w->next[at] = w->next[next];
        if (w->next[at] >= 0) w->before[w->next[at]] = at;
        w->next[next] = -1;
        if (!offer(m, w, w->before[at]) || !offer(m, w, at)) return no_memory();
    }
    size_t kept = 0;
    for (int32_t i = n ? 0 : -1; i >= 0; i = w->next[i]) {
        w->symbol[kept] = w->symbol[i];
        /* neighbours on the left are not needed any more */
        w->before[kept++] = i;
    }
    w->place = w->before;
    *left = kept;
    return MEGA_OK;
}

mega_status mega_merges_apply(
    const struct mega_merges *m, struct mega_merging *w, size_t n, size_t *left)
{
    if (n > SHORT && m->n) return merge_long(m, w, n, left);
    *left = m->n ? merge_short(m, w->symbol, n) : n;
    return MEGA_OK;
}

mega_status mega_merges_apply_places(
    const struct mega_merges *m, struct mega_merging *w, size_t n, size_t *left)
{
    return merge_long(m, w, n, left);
}
