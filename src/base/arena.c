#include "base/arena.h"

#include <string.h>
#include <sys/mman.h>

#include "base/fail.h"

enum { COMMIT_STEP = 1 << 20, LEAST_RESERVE = 64 << 20, SHARES = 8 };

/* PROT_NONE: nothing is charged until it is committed; NULL if there is not so much */
static void *address_space(size_t bytes)
{
    void *base =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Where address space is limited (ulimit -v, valgrind): a part of what there is, as others need
 * some too. Sets *reserve. */
static void *limited_space(size_t *reserve)
{
    void *most = NULL;
    while (!most && *reserve > LEAST_RESERVE) most = address_space(*reserve /= 2);
    if (!most) return NULL;
    munmap(most, *reserve);
    return address_space(*reserve /= SHARES);
}

mega_status mega_arena_init(struct mega_arena *a, size_t reserve)
{
    *a = (struct mega_arena){ 0 };
    void *base = address_space(reserve);
    if (!base) base = limited_space(&reserve);
    if (!base)
        return mega_fail(
            MEGA_NO_MEMORY, "cannot reserve %zu MiB of address space", reserve >> 20);
    a->base = base;
    a->reserved = reserve;
    return MEGA_OK;
}

void mega_arena_done(struct mega_arena *a)
{
    if (a->base) munmap(a->base, a->reserved);
    *a = (struct mega_arena){ 0 };
}

static int commit(struct mega_arena *a, size_t needed)
{
    if (needed <= a->committed) return 1;
    if (needed > a->reserved) return 0;
    size_t want = (needed + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;
    if (want > a->reserved) want = a->reserved;
    if (mprotect(a->base + a->committed, want - a->committed, PROT_READ | PROT_WRITE)) return 0;
    a->committed = want;
    return 1;
}

void *mega_arena_get(struct mega_arena *a, size_t bytes)
{
    size_t size = (bytes + MEGA_ALIGN - 1) / MEGA_ALIGN * MEGA_ALIGN;
    if (size < bytes || size > a->reserved - a->used) return NULL;
    if (!commit(a, a->used + size)) return NULL;
    void *p = a->base + a->used;
    a->used += size;
    if (a->used > a->peak) a->peak = a->used;
    return p;
}

void *mega_arena_zeroed(struct mega_arena *a, size_t bytes)
{
    void *p = mega_arena_get(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

char *mega_arena_text(struct mega_arena *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mega_arena_get(a, size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

size_t mega_arena_mark(const struct mega_arena *a)
{
    return a->used;
}

void mega_arena_release(struct mega_arena *a, size_t mark)
{
    a->used = mark;
}
