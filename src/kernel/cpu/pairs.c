#include "kernel/cpu/pairs.h"

#include "kernel/kernel.h"

#if defined(__x86_64__)
extern const struct mega_pairs mega_pairs_avx512;

const struct mega_pairs *mega_pairs(void)
{
    bool has = mega_isa_here() >= MEGA_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
    return has ? &mega_pairs_avx512 : NULL;
}
#else
const struct mega_pairs *mega_pairs(void)
{
    return NULL;
}
#endif

bool mega_bf16_products_here(void)
{
    return mega_pairs() != NULL;
}

static int64_t even(int64_t n)
{
    return n + n % 2;
}

static uint16_t *room(struct mega_arena *scratch, int64_t numbers)
{
    return mega_arena_get(scratch, (size_t)numbers * sizeof(uint16_t));
}

static struct mega_pair_left left(const struct mega_pairs *p, struct mega_operand a, int64_t m,
    int64_t k, struct mega_arena *scratch)
{
    if (a.turned) {
        int64_t columns = (m + p->lanes - 1) / p->lanes * p->lanes;
        uint16_t *to = room(scratch, even(k) * columns);
        p->pack(to, columns, a.at, k, m);
        return (struct mega_pair_left){ to, 2, 2 * columns };
    }
    uint16_t *to = room(scratch, m * even(k));
    for (int64_t r = 0; r < m; r++) {
        p->round(to + r * even(k), mega_matrix_row(a.at, r), k);
        if (k % 2) to[r * even(k) + k] = 0;
    }
    return (struct mega_pair_left){ to, even(k), 2 };
}

/* how b [k, n] lies when it is packed; returns its size in numbers */
static int64_t lay_out(
    const struct mega_pairs *p, int64_t k, int64_t n, struct mega_pair_right *out)
{
    int64_t columns = mega_pair_columns(p, n), panel = even(k) * columns;
    *out = (struct mega_pair_right){ NULL, 2 * columns, panel, columns };
    return (n + columns - 1) / columns * panel;
}

/* a panel of b, which lies at `to` */
static void pack_panel(const struct mega_pairs *p, uint16_t *to,
    const struct mega_pair_right *how, struct mega_operand b, int64_t k, int64_t n, int64_t i)
{
    int64_t j = i * how->columns, some = n - j < how->columns ? n - j : how->columns;
    struct mega_matrix at = { b.at.at + j * (b.turned ? b.at.stride : 1), b.at.stride };
    (b.turned ? p->pack_turned : p->pack)(to + i * how->panel, how->columns, at, k, some);
}

/* a lane packs one panel */
struct packing {
    const struct mega_pairs *p;
    uint16_t *to;
    struct mega_pair_right how;
    struct mega_operand b;
    int64_t k, n;
};

static void pack_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    const struct packing *j = arg;
    pack_panel(j->p, j->to, &j->how, j->b, j->k, j->n, i);
}

/* all panels, for a shelf */
static void make(void *arg, void *to)
{
    struct packing *j = arg;
    j->to = to;
    for (int64_t i = 0; i * j->how.columns < j->n; i++) pack_lane(j, i, NULL);
}

struct mega_pair_right mega_pairs_pack(const struct mega_pairs *p, struct mega_work *work,
    struct mega_operand b, int64_t k, int64_t n)
{
    struct packing j = { .p = p, .b = b, .k = k, .n = n };
    int64_t numbers = lay_out(p, k, n, &j.how), columns = j.how.columns;
    size_t bytes = (size_t)numbers * sizeof *j.to;
    struct mega_shelf_key key = { b.at.at, b.at.stride, k, n,
        b.turned ? SHELF_PAIRS_TURNED : SHELF_PAIRS };
    if (work->shelf) j.how.at = mega_shelf_get(work->shelf, &key, bytes, make, &j);
    if (j.how.at) return j.how;
    j.how.at = j.to = mega_scratch(work, bytes);
    mega_lanes(work, (n + columns - 1) / columns, (double)(k * n), pack_lane, &j);
    return j.how;
}

size_t mega_pairs_packed_bytes(const struct mega_pairs *p, int64_t k, int64_t n)
{
    struct mega_pair_right how;
    return (size_t)lay_out(p, k, n, &how) * sizeof(uint16_t);
}

struct mega_pair_right mega_pairs_pack_into(
    const struct mega_pairs *p, uint16_t *room, struct mega_operand b, int64_t k, int64_t n)
{
    struct mega_pair_right how;
    lay_out(p, k, n, &how);
    for (int64_t i = 0; i * how.columns < n; i++) pack_panel(p, room, &how, b, k, n, i);
    how.at = room;
    return how;
}

void mega_pairs_times(const struct mega_pairs *p, int64_t m, int64_t n, int64_t k,
    struct mega_operand a, struct mega_pair_right b, struct mega_matrix c, bool add,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    p->multiply(m, n, even(k) / 2, left(p, a, m, k, scratch), b, c, add);
    mega_arena_release(scratch, mark);
}

void mega_pairs_product(const struct mega_pairs *p, int64_t m, int64_t n, int64_t k,
    struct mega_operand a, struct mega_operand b, struct mega_matrix c, bool add,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    uint16_t *to = mega_arena_get(scratch, mega_pairs_packed_bytes(p, k, n));
    mega_pairs_times(p, m, n, k, a, mega_pairs_pack_into(p, to, b, k, n), c, add, scratch);
    mega_arena_release(scratch, mark);
}
