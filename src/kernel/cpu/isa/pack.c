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

struct mega_right MEGA_ISA_NAME(mega_pack)(
    struct mega_work *work, struct mega_matrix b, bool turned, int64_t k, int64_t n)
{
    int64_t columns = mega_panel_columns(products, n);
    float *room = mega_scratch(work, (size_t)mega_packed_size(products, k, n) * sizeof *room);
    struct job j = { { room, columns, columns * k, columns }, room, b, turned, k, n };
    mega_lanes(work, pieces(n, columns), (double)(k * n) / 4, lane, &j);
    return j.to;
}
