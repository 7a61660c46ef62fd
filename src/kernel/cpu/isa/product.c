/* Products of float32 matrices by tiles that stay in registers (product.h).
 *
 * A tile of c is ROWS times up to MOST vectors: for each k the vectors of b's row, and one
 * number of a for every row of the tile, which all its vectors share. The sum over k has one
 * order, whatever tile an element falls into. */
#include "kernel/cpu/product.h"

#include "kernel/cpu/vector.h"

enum {
    ROWS = 6,
#if defined(MEGA_ISA_avx512)
    MOST = 4 /* 24 sums, 4 vectors of b and one of a in 32 registers */
#else
    MOST = 2 /* 12 sums, 2 and 1 in 16 */
#endif
};

#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)

/* ---- one tile ---- */

struct tile {
    int64_t k;
    struct mega_left a;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    int64_t last; /* columns of the last vector */
    bool add;
};

/* `rows`, `vectors` and `partial` (the last vector is not whole) are constants. */
VEC_INLINE void compute(const struct tile *t, int rows, int vectors, bool partial)
{
    vec sum[ROWS][MOST], b[MOST];
    EACH(i, rows) EACH(j, vectors) sum[i][j] = (vec){ 0 };
    const float *at = t->a.at, *b_at = t->b;
    for (int64_t k = t->k; k; k--, at += t->a.next, b_at += t->b_row) {
        EACH(j, vectors)
        b[j] = partial && j == vectors - 1 ? vec_load_part(b_at + j * VEC, t->last)
                                           : vec_load(b_at + j * VEC);
        EACH(i, rows)
        {
            vec a = vec_all(at[i * t->a.row]);
            EACH(j, vectors) sum[i][j] += a * b[j];
        }
    }
    EACH(i, rows) EACH(j, vectors)
    {
        float *to = t->c + i * t->c_row + j * VEC;
        int64_t left = partial && j == vectors - 1 ? t->last : VEC;
        vec_put(to, t->add ? vec_get(to, left) + sum[i][j] : sum[i][j], left);
    }
}

#define TILE(rows, vectors)                                                                    \
    static void tile_##rows##_##vectors(const struct tile *t)                                  \
    {                                                                                          \
        compute(t, rows, vectors, false);                                                      \
    }                                                                                          \
    static void part_##rows##_##vectors(const struct tile *t)                                  \
    {                                                                                          \
        compute(t, rows, vectors, true);                                                       \
    }
#define TILES(vectors) TILE(1, vectors) TILE(2, vectors) TILE(4, vectors) TILE(6, vectors)
TILES(1)
TILES(2)
#if defined(MEGA_ISA_avx512)
TILES(3)
TILES(4)
#endif

/* by rows / 2, vectors - 1, and whether the last vector is partial */
#define NAMES(rows, vectors)                                                                   \
    {                                                                                          \
        tile_##rows##_##vectors, part_##rows##_##vectors                                       \
    }
#if defined(MEGA_ISA_avx512)
#define NAMED(rows)                                                                            \
    {                                                                                          \
        NAMES(rows, 1), NAMES(rows, 2), NAMES(rows, 3), NAMES(rows, 4)                         \
    }
#else
#define NAMED(rows)                                                                            \
    {                                                                                          \
        NAMES(rows, 1), NAMES(rows, 2)                                                         \
    }
#endif
typedef void tile_fn(const struct tile *t);
static tile_fn *const tiles[4][MOST][2] = { NAMED(1), NAMED(2), NAMED(4), NAMED(6) };

/* rows of the next tile of `left`: 8 are two fours, which keep the multipliers busier than six
 * and two */
static inline int tile_rows(int64_t left)
{
    if (left >= ROWS && left != 8) return ROWS;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void multiply(int64_t m, int64_t n, int64_t k, struct mega_left a, struct mega_right b,
    struct mega_matrix c, bool add)
{
    for (int64_t j = 0; j < n; j += b.columns, b.at += b.panel) {
        int64_t columns = n - j < b.columns ? n - j : b.columns;
        int64_t vectors = (columns + VEC - 1) / VEC, last = columns - (vectors - 1) * VEC;
        struct tile t = { k, a, b.at, b.row, c.at + j, c.stride, last, add };
        for (int64_t i = 0; i < m;) {
            int rows = tile_rows(m - i);
            tiles[rows / 2][vectors - 1][last < VEC](&t);
            i += rows;
            t.a.at += rows * a.row;
            t.c += rows * c.stride;
        }
    }
}

/* ---- packing ---- */

static void pack(float *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += columns)
        for (int64_t r = 0; r < k; r++, to += columns) {
            const float *from = mega_matrix_row(b, r) + j;
            for (int64_t x = 0; x < columns; x += VEC)
                vec_store(to + x, x < n - j ? vec_get(from + x, n - j - x) : vec_all(0));
        }
}

/* VEC rows become VEC columns: log2(VEC) times, row i and row i + VEC/2 are riffled into rows
 * 2i and 2i + 1 */
VEC_INLINE void turn(vec row[VEC])
{
    ivec low, high;
    for (int i = 0; i < VEC; i++) {
        low[i] = i / 2 + (i % 2 ? VEC : 0);
        high[i] = low[i] + VEC / 2;
    }
    for (int step = 1; step < VEC; step *= 2) {
        vec next[VEC];
        _Pragma("GCC unroll 16") for (int i = 0; i < VEC / 2; i++)
        {
            next[2 * i] = vec_pick(row[i], row[i + VEC / 2], low);
            next[2 * i + 1] = vec_pick(row[i], row[i + VEC / 2], high);
        }
        memcpy(row, next, sizeof next);
    }
}

static void pack_turned(float *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += columns, to += columns * k)
        for (int64_t x = 0; x < columns; x += VEC)
            for (int64_t r = 0; r < k; r += VEC) {
                vec row[VEC];
                _Pragma("GCC unroll 16") for (int i = 0; i < VEC; i++) row[i] =
                    j + x + i < n ? vec_get(mega_matrix_row(b, j + x + i) + r, k - r)
                                  : vec_all(0);
                turn(row);
                _Pragma("GCC unroll 16") for (int i = 0; i < VEC; i++) if (r + i < k)
                    vec_store(to + (r + i) * columns + x, row[i]);
            }
}

void MEGA_ISA_NAME(mega_product_few)(int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c); /* product_few.c */

extern const struct mega_products MEGA_ISA_NAME(mega_products);
const struct mega_products MEGA_ISA_NAME(mega_products) = {
    .lanes = VEC,
    .most = MOST,
    .multiply = multiply,
    .few = MEGA_ISA_NAME(mega_product_few),
    .pack = pack,
    .pack_turned = pack_turned,
};
