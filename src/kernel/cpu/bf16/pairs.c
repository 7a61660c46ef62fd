/* pairs.h by AVX-512 BF16: a tile of c is ROWS times up to MOST vectors that stay in registers,
 * as in isa/product.c. */
#include "kernel/cpu/pairs.h"

#include <immintrin.h>

enum { LANES = 16, ROWS = 6, MOST = 4 };

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)

/* ---- one tile ---- */

struct tile {
    int64_t pairs;
    struct mega_pair_left a;
    const uint16_t *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    __mmask16 last; /* columns of the last vector */
    bool add;
};

INLINE __m512bh broadcast(const uint16_t *pair)
{
    int32_t word;
    memcpy(&word, pair, sizeof word);
    return (__m512bh)_mm512_set1_epi32(word);
}

INLINE void store(const struct tile *t, float *to, __m512 sum, __mmask16 mask)
{
    if (t->add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to));
    _mm512_mask_storeu_ps(to, mask, sum);
}

/* `rows` and `vectors` are constants */
INLINE void compute(const struct tile *t, int rows, int vectors)
{
    __m512 sum[ROWS][MOST];
    __m512bh b[MOST];
    EACH(i, rows) EACH(j, vectors) sum[i][j] = _mm512_setzero_ps();
    const uint16_t *at = t->a.at, *b_at = t->b;
    for (int64_t p = t->pairs; p; p--, at += t->a.next, b_at += t->b_row) {
        EACH(j, vectors) b[j] = (__m512bh)_mm512_loadu_si512(b_at + 2 * j * LANES);
        EACH(i, rows)
        {
            __m512bh a = broadcast(at + i * t->a.row);
            EACH(j, vectors) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], a, b[j]);
        }
    }
    EACH(i, rows) EACH(j, vectors)
    {
        float *to = t->c + i * t->c_row + j * LANES;
        store(t, to, sum[i][j], j == vectors - 1 ? t->last : (__mmask16)~0);
    }
}

#define TILE(rows, vectors)                                                                    \
    static void tile_##rows##_##vectors(const struct tile *t)                                  \
    {                                                                                          \
        compute(t, rows, vectors);                                                             \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3) TILE(rows, 4)
TILES(1)
TILES(2)
TILES(4)
TILES(6)

#define NAMED(rows)                                                                            \
    {                                                                                          \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3, tile_##rows##_4                     \
    }
typedef void tile_fn(const struct tile *t);
static tile_fn *const tiles[4][MOST] = { NAMED(1), NAMED(2), NAMED(4), NAMED(6) };

/* of the next tile of `left` rows: 8 are two fours */
static int tile_rows(int64_t left)
{
    if (left >= ROWS && left != 8) return ROWS;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void multiply(int64_t m, int64_t n, int64_t pairs, struct mega_pair_left a,
    struct mega_pair_right b, struct mega_matrix c, bool add)
{
    for (int64_t j = 0; j < n; j += b.columns, b.at += b.panel) {
        int64_t columns = n - j < b.columns ? n - j : b.columns;
        int64_t vectors = (columns + LANES - 1) / LANES, last = columns - (vectors - 1) * LANES;
        __mmask16 mask = (__mmask16)((1u << last) - 1);
        struct tile t = { pairs, a, b.at, b.row, c.at + j, c.stride, mask, add };
        for (int64_t i = 0; i < m;) {
            int rows = tile_rows(m - i);
            tiles[rows / 2][vectors - 1](&t);
            i += rows;
            t.a.at += rows * a.row;
            t.c += rows * c.stride;
        }
    }
}

/* ---- packing ---- */

/* words of two vectors of bfloat16, the second in the upper halves */
INLINE __m512i joined(__m256i even, __m256i odd)
{
    return _mm512_or_si512(
        _mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}

INLINE __mmask16 mask_of(int64_t left)
{
    return left >= LANES ? (__mmask16)~0 : (__mmask16)((1u << left) - 1);
}

INLINE __m256i rounded(const float *p, __mmask16 mask)
{
    return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, p));
}

static void round_row(uint16_t *to, const float *from, int64_t n)
{
    for (int64_t j = 0; j < n; j += LANES) {
        __mmask16 mask = mask_of(n - j);
        _mm256_mask_storeu_epi16(to + j, mask, rounded(from + j, mask));
    }
}

static void pack(uint16_t *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n)
{
    for (int64_t r = 0; r < k; r += 2, to += 2 * columns)
        for (int64_t j = 0; j < columns; j += LANES) {
            __mmask16 mask = n > j ? mask_of(n - j) : 0;
            __m256i odd = _mm256_setzero_si256();
            if (r + 1 < k) odd = rounded(mega_matrix_row(b, r + 1) + j, mask);
            _mm512_storeu_si512(
                to + 2 * j, joined(rounded(mega_matrix_row(b, r) + j, mask), odd));
        }
}

static void pack_turned(
    uint16_t *to, int64_t columns, struct mega_matrix b, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t r = 0; r < k; r += 2 * LANES) {
            uint16_t row[2 * LANES] = { 0 };
            for (int64_t s = 0; s < 2 && j < n && r + s * LANES < k; s++) {
                const float *from = mega_matrix_row(b, j) + r + s * LANES;
                __m256i v = rounded(from, mask_of(k - r - s * LANES));
                memcpy(row + s * LANES, &v, sizeof v);
            }
            for (int64_t p = 0; p < LANES && r + 2 * p < k; p++)
                memcpy(to + ((r / 2 + p) * columns + j) * 2, row + 2 * p, 2 * sizeof *row);
        }
}

static void join(
    uint16_t *to, int64_t to_stride, const uint16_t *from, int64_t stride, int64_t k, int64_t n)
{
    for (int64_t r = 0; r < k; r += 2, to += to_stride, from += 2 * stride)
        for (int64_t j = 0; j < n; j += LANES) {
            __mmask16 mask = mask_of(n - j), both = r + 1 < k ? mask : 0;
            __m256i even = _mm256_maskz_loadu_epi16(mask, from + j),
                    odd = _mm256_maskz_loadu_epi16(both, from + stride + j);
            _mm512_storeu_si512(to + 2 * j, joined(even, odd));
        }
}

extern const struct mega_pairs mega_pairs_avx512;
const struct mega_pairs mega_pairs_avx512 = {
    .lanes = LANES,
    .most = MOST,
    .multiply = multiply,
    .round = round_row,
    .pack = pack,
    .pack_turned = pack_turned,
    .join = join,
};
