/* Products of a few rows by a turned matrix, c = a b^T, b [n, k] read once where it lies: what
 * decoding does, where packing b would cost more than the product (product.h).
 *
 * Each element is a dot product: a vector of sums along k, then summed by halves (the order of
 * vec_sum). VEC such vectors, so many columns of one row or fewer of several, are summed
 * together: each halving puts two of them side by side in one. */
#include "kernel/cpu/product.h"

#include "kernel/cpu/vector.h"

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

/* ---- VEC vectors into one of their sums ---- */

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE __builtin_shufflevector
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){ __VA_ARGS__ })
#endif

/* sums by halves of so many lanes, a's and b's side by side */
#if defined(MEGA_ISA_avx512)
VEC_INLINE vec halves_16(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

VEC_INLINE vec halves_8(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

VEC_INLINE vec halves_4(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

VEC_INLINE vec halves_2(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
           SHUFFLE(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}

/* where vector i begins, for its sum to end in lane i */
static const int place[VEC] = { 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15 };
#elif defined(MEGA_ISA_avx2)
VEC_INLINE vec halves_8(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

VEC_INLINE vec halves_4(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}

VEC_INLINE vec halves_2(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + SHUFFLE(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}

static const int place[VEC] = { 0, 2, 4, 6, 1, 3, 5, 7 };
#else
VEC_INLINE vec halves_4(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 1, 4, 5) + SHUFFLE(a, b, 2, 3, 6, 7);
}

VEC_INLINE vec halves_2(vec a, vec b)
{
    return SHUFFLE(a, b, 0, 2, 4, 6) + SHUFFLE(a, b, 1, 3, 5, 7);
}

static const int place[VEC] = { 0, 1, 2, 3 };
#endif

/* lane i: the sum over the lanes of vector i */
VEC_INLINE vec sums_of(const vec v[VEC])
{
    vec t[VEC];
    EACH(i, VEC) t[place[i]] = v[i];
#if defined(MEGA_ISA_avx512)
    EACH(i, VEC / 2) t[i] = halves_16(t[2 * i], t[2 * i + 1]);
    EACH(i, VEC / 4) t[i] = halves_8(t[2 * i], t[2 * i + 1]);
#elif defined(MEGA_ISA_avx2)
    EACH(i, VEC / 2) t[i] = halves_8(t[2 * i], t[2 * i + 1]);
#endif
    EACH(i, 2) t[i] = halves_4(t[2 * i], t[2 * i + 1]);
    return halves_2(t[0], t[1]);
}

/* ---- a block of c ---- */

struct block {
    int64_t k;
    const float *a[8]; /* its rows; behind the last of them the last again */
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row, rows; /* rows that there are */
};

/* one step along k; `left` VEC or more: whole vectors */
VEC_INLINE void add_step(
    const struct block *t, vec *sum, int64_t k, int64_t left, int rows, int columns)
{
    vec a[8];
    EACH(r, rows) a[r] = vec_get(t->a[r] + k, left);
    EACH(i, columns)
    {
        const float *at = t->b + i * t->b_row + k;
        vec b = vec_get(at, left);
        /* a block of several rows takes as long as memory: the next one's is asked for now */
        if (rows > 1) __builtin_prefetch(at + columns * t->b_row);
        EACH(r, rows) sum[r * columns + i] += a[r] * b;
    }
}

/* `rows` and `columns` are constants, at most VEC together */
VEC_INLINE void compute(const struct block *t, int rows, int columns)
{
    vec sum[VEC];
    EACH(i, VEC) sum[i] = (vec){ 0 };
    int64_t k = 0;
    for (; k + VEC <= t->k; k += VEC) add_step(t, sum, k, VEC, rows, columns);
    if (k < t->k) add_step(t, sum, k, t->k - k, rows, columns);
    vec all = sums_of(sum);
    if (rows == 1) {
        vec_put(t->c, all, columns);
        return;
    }
    for (int64_t r = 0; r < t->rows; r++)
        EACH(i, columns) t->c[r * t->c_row + i] = all[r * columns + i];
}

#define BLOCK(rows, columns)                                                                   \
    static void block_##rows##_##columns(const struct block *t)                                \
    {                                                                                          \
        compute(t, rows, columns);                                                             \
    }
typedef void block_fn(const struct block *t);

/* for 1, 2, 4 and 8 rows: blocks of falling width, the last of one column */
struct shape {
    int columns;
    block_fn *fn;
};
enum { SHAPES = 3 };
#if defined(MEGA_ISA_avx512)
BLOCK(1, 16)
BLOCK(1, 4)
BLOCK(1, 1)
BLOCK(2, 8)
BLOCK(2, 1)
BLOCK(4, 4)
BLOCK(4, 1)
BLOCK(8, 2)
BLOCK(8, 1)
static const struct shape shapes[4][SHAPES] = {
    { { 16, block_1_16 }, { 4, block_1_4 }, { 1, block_1_1 } },
    { { 8, block_2_8 }, { 1, block_2_1 } },
    { { 4, block_4_4 }, { 1, block_4_1 } },
    { { 2, block_8_2 }, { 1, block_8_1 } },
};
enum { MOST_ROWS = 8 };
#elif defined(MEGA_ISA_avx2)
BLOCK(1, 8)
BLOCK(1, 4)
BLOCK(1, 1)
BLOCK(2, 4)
BLOCK(2, 1)
BLOCK(4, 2)
BLOCK(4, 1)
BLOCK(8, 1)
static const struct shape shapes[4][SHAPES] = {
    { { 8, block_1_8 }, { 4, block_1_4 }, { 1, block_1_1 } },
    { { 4, block_2_4 }, { 1, block_2_1 } },
    { { 2, block_4_2 }, { 1, block_4_1 } },
    { { 1, block_8_1 } },
};
enum { MOST_ROWS = 8 };
#else
BLOCK(1, 4)
BLOCK(1, 1)
BLOCK(2, 2)
BLOCK(2, 1)
BLOCK(4, 1)
static const struct shape shapes[3][SHAPES] = {
    { { 4, block_1_4 }, { 1, block_1_1 } },
    { { 2, block_2_2 }, { 1, block_2_1 } },
    { { 1, block_4_1 } },
};
enum { MOST_ROWS = 4 };
#endif

static void columns_of(struct block *t, const struct shape *shape, int64_t n)
{
    for (; n > 0; shape++)
        for (; n >= shape->columns; n -= shape->columns) {
            shape->fn(t);
            t->b += shape->columns * t->b_row;
            t->c += shape->columns;
        }
}

void MEGA_ISA_NAME(mega_product_few)(int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c);
void MEGA_ISA_NAME(mega_product_few)(int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c)
{
    for (int64_t i = 0; i < m; i += MOST_ROWS) {
        int64_t rows = m - i < MOST_ROWS ? m - i : MOST_ROWS;
        struct block t = { .k = k, .b = b.at, .b_row = b.stride, .rows = rows };
        for (int64_t r = 0; r < MOST_ROWS; r++)
            t.a[r] = mega_matrix_row(a, i + (r < rows ? r : rows - 1));
        t.c = mega_matrix_row(c, i);
        t.c_row = c.stride;
        columns_of(&t, shapes[rows > 4 ? 3 : rows > 2 ? 2 : rows - 1], n);
    }
}
