#include "kernel/example_parts.h"

#include <math.h>

#include "kernel/guard.h"

int mega_make_choice(struct mega_maker *m, int n)
{
    int chosen = m->turn % n;
    m->turn /= n;
    return chosen;
}

enum mega_act mega_make_act(struct mega_maker *m, int n)
{
    enum mega_act act = (enum mega_act)mega_make_choice(m, n);
    return m->dtype == MEGA_BF16 && act == MEGA_ACT_RELU ? MEGA_ACT_SILU : act;
}

int64_t mega_make_below(struct mega_maker *m, int64_t n)
{
    return mega_rng_below(&m->rng, (uint32_t)n);
}

int64_t mega_make_size(struct mega_maker *m)
{
    static const int64_t small[] = { 1, 2, 3, 4, 5, 7 };
    static const int64_t large[] = { 1, 2, 3, 5, 8, 13, 16, 17, 31, 32, 64, 67, 80, 97, 128 };
    if (m->small) return small[mega_make_below(m, sizeof small / sizeof *small)];
    return large[mega_make_below(m, sizeof large / sizeof *large)];
}

int64_t mega_make_few(struct mega_maker *m)
{
    static const int64_t few[] = { 1, 2, 3, 5, 1, 2, 3, 4, 2, 0 };
    return few[mega_make_below(m, m->small ? 4 : sizeof few / sizeof *few)];
}

int64_t mega_make_length(struct mega_maker *m)
{
    static const int64_t lengths[] = { 1, 2, 7, 16, 33, 64, 100, 131, 0, 257 };
    return m->small ? 1 + mega_make_below(m, 8)
                    : lengths[mega_make_below(m, sizeof lengths / sizeof *lengths)];
}

int64_t mega_make_height(struct mega_maker *m, int64_t width)
{
    return m->small || width > 40 ? mega_make_size(m) : 1100 + mega_make_below(m, 400);
}

/* Beside bfloat16 activations parameters are numbers that bfloat16 has: a kernel may round them
 * on their way into a product, and before a kink no two roundings of a sum agree. */
static double rounded(const struct mega_maker *m, double v)
{
    return m->dtype == MEGA_BF16 ? (double)mega_from_bf16(mega_to_bf16((float)v)) : v;
}

static mega_tensor *normal(
    struct mega_maker *m, const mega_tensor *like, int64_t gap, double mean, double deviation)
{
    struct mega_guarded g = mega_guard(m->arena, like, gap);
    mega_tensor *t = mega_arena_get(m->arena, sizeof *t);
    *t = g.t;
    for (int64_t r = 0; r < mega_height(t); r++)
        for (int64_t j = 0; j < mega_width(t); j++)
            mega_put(t, r, j, rounded(m, mean + deviation * mega_rng_normal(&m->rng)));
    return t;
}

mega_tensor *mega_make_values(
    struct mega_maker *m, int rank, const int64_t dim[], double mean, double deviation)
{
    mega_tensor like = mega_tensor_over(NULL, m->dtype, rank, dim);
    int64_t gap = mega_make_below(m, 2) ? 1 + mega_make_below(m, 40) : 0;
    return normal(m, &like, gap, mean, deviation);
}

mega_tensor *mega_make_param(
    struct mega_maker *m, int rank, const int64_t dim[], double mean, double deviation)
{
    mega_tensor like =
        mega_tensor_over(NULL, m->dtype == MEGA_F64 ? MEGA_F64 : MEGA_F32, rank, dim);
    return normal(m, &like, 0, mean, deviation);
}

void mega_make_coarse(mega_tensor *t, double step)
{
    for (int64_t r = 0; r < mega_height(t); r++)
        for (int64_t j = 0; j < mega_width(t); j++)
            mega_put(t, r, j, step * round(mega_get(t, r, j) / step));
}

mega_tensor *mega_make_numbers(
    struct mega_maker *m, int rank, const int64_t dim[], int32_t lo, int32_t hi)
{
    mega_tensor like = mega_tensor_over(NULL, MEGA_I32, rank, dim);
    mega_tensor *t = normal(m, &like, 0, 0, 0);
    for (int64_t i = 0, n = mega_count(t); i < n; i++)
        ((int32_t *)t->data)[i] = lo + (int32_t)mega_make_below(m, (int64_t)hi - lo + 1);
    return t;
}

int mega_make_shape(struct mega_maker *m, int64_t width, int64_t dim[MEGA_RANK])
{
    int rank = 1 + (int)mega_make_below(m, 4);
    dim[rank - 1] = width;
    for (int i = 0; i < rank - 1; i++)
        dim[i] = rank == 2 ? mega_make_height(m, width) : mega_make_few(m);
    return rank;
}

void *mega_make_attr(struct mega_maker *m)
{
    void *attr = mega_arena_zeroed(m->arena, m->e->call.op->attr_size);
    m->e->call.attr = attr;
    return attr;
}

/* ---- rows ---- */

static int32_t *integers(struct mega_maker *m, int64_t n)
{
    return mega_arena_zeroed(m->arena, (size_t)n * sizeof(int32_t));
}

static const int32_t *make_len(struct mega_maker *m, int64_t B, int64_t T)
{
    int32_t *len = integers(m, B);
    for (int64_t b = 0; b < B; b++)
        len[b] = (int32_t)(mega_make_below(m, 3) ? T : mega_make_below(m, T + 1));
    return len;
}

/* padding on the left, holes, or nothing at all */
static const int32_t *make_real(struct mega_maker *m, int64_t B, int64_t T)
{
    int32_t *real = integers(m, B * T);
    for (int64_t b = 0; b < B; b++) {
        int64_t left = mega_make_below(m, 2) ? mega_make_below(m, T + 1) : 0,
                holes = mega_make_below(m, 2);
        for (int64_t t = 0; t < T; t++)
            real[b * T + t] = t >= left && !(holes && !mega_make_below(m, 4));
    }
    return real;
}

/* documents of a few places each; the first may have begun before this call */
static const int32_t *make_doc(struct mega_maker *m, const struct mega_rows *rows)
{
    int32_t *doc = integers(m, rows->B * rows->T);
    for (int64_t b = 0; b < rows->B; b++) {
        int64_t begun = -mega_make_below(m, mega_rows_place(rows, b) + 1);
        for (int64_t t = 0; t < rows->T; t++) {
            if (t && !mega_make_below(m, 6)) begun = t;
            doc[b * rows->T + t] = (int32_t)begun;
        }
    }
    return doc;
}

static void make_places(struct mega_maker *m, struct mega_rows *rows, int64_t most)
{
    int32_t *place = integers(m, rows->B), *fresh = integers(m, rows->B);
    for (int64_t b = 0; b < rows->B; b++) {
        place[b] = (int32_t)mega_make_below(m, most + 1);
        fresh[b] = !mega_make_below(m, 3);
    }
    rows->place = place;
    if (mega_make_below(m, 2)) rows->fresh = fresh;
}

void mega_make_rows(
    struct mega_maker *m, int64_t B, int64_t T, unsigned features, int64_t most_place)
{
    struct mega_rows *rows = mega_arena_zeroed(m->arena, sizeof *rows);
    rows->B = B;
    rows->T = T;
    features &= (unsigned)mega_make_below(m, 32);
    if (features & MEGA_ROWS_LEN) rows->len = make_len(m, B, T);
    if (features & MEGA_ROWS_REAL) rows->real = make_real(m, B, T);
    if (features & MEGA_ROWS_PLACE) make_places(m, rows, most_place);
    if (features & MEGA_ROWS_DOC) rows->doc = make_doc(m, rows);
    if (features & MEGA_ROWS_NUMBER) {
        int32_t *number = integers(m, B);
        for (int64_t b = 0; b < B; b++) number[b] = (int32_t)mega_make_below(m, 1 << 20);
        rows->number = number;
    }
    m->e->call.rows = rows;
}

void mega_make_text(struct mega_maker *m, unsigned features, int64_t dim[3])
{
    dim[0] = mega_make_few(m);
    dim[1] = m->small || mega_make_below(m, 2) ? mega_make_few(m) : mega_make_size(m);
    dim[2] = mega_make_size(m);
    mega_make_rows(m, dim[0], dim[1], features, 1000);
}
