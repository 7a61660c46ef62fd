#include "kernel/guard.h"

#include <string.h>

enum { MOAT = 64 }; /* bytes on either side; also keeps the first element aligned */

/* in every fourth byte the last of 0x7FA5A5A5: arithmetic turns it into a quiet NaN */
static unsigned char filling(size_t i)
{
    return i % 4 == 3 ? 0x7F : 0xA5;
}

struct mega_guarded mega_guard(struct mega_arena *a, const mega_tensor *like, int64_t gap)
{
    struct mega_guarded g = { .t = mega_tensor_over(NULL, like->dtype, like->rank, like->dim) };
    g.t.stride += gap;
    size_t rows = (size_t)mega_height(&g.t), row_size = mega_dtype_size(like->dtype);
    g.bytes = 2 * MOAT + rows * (size_t)g.t.stride * row_size;
    g.base = mega_arena_get(a, g.bytes);
    if (!g.base) return g;
    for (size_t i = 0; i < g.bytes; i++) g.base[i] = filling(i);
    g.t.data = g.base + MOAT;
    return g;
}

static bool filled(const struct mega_guarded *g, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (g->base[i] != filling(i)) return false;
    return true;
}

bool mega_guard_intact(const struct mega_guarded *g)
{
    size_t size = mega_dtype_size(g->t.dtype), rows = (size_t)mega_height(&g->t);
    size_t used = (size_t)mega_width(&g->t) * size, step = (size_t)g->t.stride * size;
    bool intact = filled(g, 0, MOAT);
    for (size_t r = 0; r < rows; r++)
        intact = intact && filled(g, MOAT + r * step + used, MOAT + (r + 1) * step);
    return intact && filled(g, MOAT + rows * step, g->bytes);
}
