/* Packing an operand that all lanes of a call share: a lane a panel. */
#include "kernel/cpu/isa/blocks.h"

struct job {
    struct mega_right to;
    float *room;
    struct mega_matrix b;
    bool turned;
    int64_t k, n;
};

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    const struct job *j = arg;
    int64_t columns = j->to.columns, first = i * columns, n = least(j->n - first, columns);
    struct mega_matrix b = { j->b.at + first * (j->turned ? j->b.stride : 1), j->b.stride };
    (j->turned ? products->pack_turned : products->pack)(
        j->room + i * j->to.panel, columns, b, j->k, n);
}

/* all panels, for a shelf */
static void make(void *arg, void *room)
{
    struct job *j = arg;
    j->room = room;
    for (int64_t i = 0; i < pieces(j->n, j->to.columns); i++) lane(j, i, NULL);
}

struct mega_right MEGA_ISA_NAME(mega_pack)(
    struct mega_work *work, struct mega_matrix b, bool turned, int64_t k, int64_t n)
{
    int64_t columns = mega_panel_columns(products, n);
    size_t bytes = (size_t)mega_packed_size(products, k, n) * sizeof(float);
    struct job j = { { NULL, columns, columns * k, columns }, NULL, b, turned, k, n };
    struct mega_shelf_key key = { b.at, b.stride, k, n, turned ? SHELF_TURNED : SHELF_PACKED };
    if (work->shelf) j.to.at = mega_shelf_get(work->shelf, &key, bytes, make, &j);
    if (j.to.at) return j.to;
    j.to.at = j.room = mega_scratch(work, bytes);
    mega_lanes(work, pieces(n, columns), (double)(k * n) / 4, lane, &j);
    return j.to;
}
