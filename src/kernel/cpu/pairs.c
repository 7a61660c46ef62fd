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

static struct mega_pair_right right(const struct mega_pairs *p, struct mega_operand b,
    int64_t k, int64_t n, struct mega_arena *scratch)
{
    int64_t columns = mega_pair_columns(p, n), panel = even(k) * columns;
    uint16_t *to = room(scratch, (n + columns - 1) / columns * panel);
    for (int64_t j = 0; j < n; j += columns) {
        int64_t some = n - j < columns ? n - j : columns;
        struct mega_matrix at = { b.at.at + j * (b.turned ? b.at.stride : 1), b.at.stride };
        (b.turned ? p->pack_turned : p->pack)(to + j / columns * panel, columns, at, k, some);
    }
    return (struct mega_pair_right){ to, 2 * columns, panel, columns };
}

void mega_pairs_product(const struct mega_pairs *p, int64_t m, int64_t n, int64_t k,
    struct mega_operand a, struct mega_operand b, struct mega_matrix c, bool add,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    struct mega_pair_left l = left(p, a, m, k, scratch);
    p->multiply(m, n, even(k) / 2, l, right(p, b, k, n, scratch), c, add);
    mega_arena_release(scratch, mark);
}
