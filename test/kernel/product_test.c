/* Products against sums in double, on every instruction set here: operands as they lie, turned
 * and packed, sizes on both sides of every tile, nothing written or read beyond. */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "kernel/cpu/product.h"
#include "kernel/cpu/rows.h"

#include "cmocka_all.h"

enum { GAP = 3 };

struct sizes {
    int64_t m, n, k;
};

static const struct sizes sizes[] = { { 1, 1, 1 }, { 6, 64, 8 }, { 8, 16, 5 }, { 7, 17, 3 },
    { 128, 80, 33 }, { 5, 130, 64 }, { 13, 31, 127 }, { 2, 3, 150 }, { 65, 49, 1 },
    { 3, 150, 17 }, { 9, 29, 37 }, { 0, 4, 4 }, { 4, 0, 4 }, { 4, 4, 0 } };

/* rows of `columns` floats, GAP apart and nothing behind the last, so that a sanitizer sees a
 * read beyond */
static struct mega_matrix random_matrix(struct mega_rng *g, int64_t rows, int64_t columns)
{
    int64_t stride = columns + GAP, n = rows ? (rows - 1) * stride + columns : 0;
    float *at = malloc((size_t)n * sizeof *at + 1);
    for (int64_t i = 0; i < n; i++) at[i] = (float)(mega_rng_unit(g) - 0.5);
    return (struct mega_matrix){ at, stride };
}

struct problem {
    struct sizes s;
    struct mega_matrix a, b, c, before; /* [m, k] or [k, m]; [k, n] or [n, k]; [m, n] */
    bool a_turned, b_turned;
};

static double exact(const struct problem *p, int64_t i, int64_t j, bool add)
{
    double sum = add ? (double)mega_matrix_row(p->before, i)[j] : 0;
    for (int64_t k = 0; k < p->s.k; k++)
        sum +=
            (double)(p->a_turned ? mega_matrix_row(p->a, k)[i] : mega_matrix_row(p->a, i)[k]) *
            (double)(p->b_turned ? mega_matrix_row(p->b, j)[k] : mega_matrix_row(p->b, k)[j]);
    return sum;
}

static void check(const struct problem *p, bool add)
{
    for (int64_t i = 0; i < p->s.m; i++) {
        for (int64_t j = 0; j < p->s.n; j++)
            if (fabs((double)mega_matrix_row(p->c, i)[j] - exact(p, i, j, add)) > 2e-5)
                fail_msg("%lld x %lld x %lld at %lld, %lld: %g, expected %g", (long long)p->s.m,
                    (long long)p->s.n, (long long)p->s.k, (long long)i, (long long)j,
                    (double)mega_matrix_row(p->c, i)[j], exact(p, i, j, add));
        for (int64_t j = p->s.n; i + 1 < p->s.m && j < p->s.n + GAP; j++)
            assert_true(mega_matrix_row(p->c, i)[j] == mega_matrix_row(p->before, i)[j]);
    }
}

static void run(const struct mega_products *f, struct problem *p, struct mega_right b, bool add)
{
    int64_t n = p->s.m ? (p->s.m - 1) * p->c.stride + p->s.n : 0;
    memcpy(p->c.at, p->before.at, (size_t)n * sizeof(float));
    struct mega_left a = p->a_turned ? mega_left_turned(p->a) : mega_left(p->a);
    f->multiply(p->s.m, p->s.n, p->s.k, a, b, p->c, add);
    check(p, add);
}

static void run_few(const struct mega_products *f, struct problem *p)
{
    int64_t n = p->s.m ? (p->s.m - 1) * p->c.stride + p->s.n : 0;
    memcpy(p->c.at, p->before.at, (size_t)n * sizeof(float));
    f->few(p->s.m, p->s.n, p->s.k, p->a, p->b, p->c);
    check(p, false);
}

static void check_all_forms(const struct mega_products *f, struct sizes s, struct mega_rng *g)
{
    float *room = malloc((size_t)mega_packed_size(f, s.k, s.n) * sizeof *room + 1);
    for (int turned = 0; turned < 4; turned++) {
        struct problem p = { .s = s, .a_turned = turned & 1, .b_turned = turned & 2 };
        p.a = p.a_turned ? random_matrix(g, s.k, s.m) : random_matrix(g, s.m, s.k);
        p.b = p.b_turned ? random_matrix(g, s.n, s.k) : random_matrix(g, s.k, s.n);
        p.c = random_matrix(g, s.m, s.n);
        p.before = random_matrix(g, s.m, s.n);
        if (p.b_turned && !p.a_turned) run_few(f, &p);
        for (int add = 0; add < 2; add++) {
            if (p.b_turned) {
                run(f, &p, mega_right_turned(f, room, p.b, s.k, s.n), add);
            } else {
                run(f, &p, mega_right(f, p.b, s.n), add);
                run(f, &p, mega_right_packed(f, room, p.b, s.k, s.n), add);
            }
        }
        free(p.a.at);
        free(p.b.at);
        free(p.c.at);
        free(p.before.at);
    }
    free(room);
}

static void products_are_those_of_the_definition(void **state)
{
    (void)state;
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (enum mega_isa isa = MEGA_ISA_BASE; isa <= mega_isa_here(); isa++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_all_forms(mega_products(isa), sizes[i], &g);
}

static void a_row_does_not_depend_on_those_beside_it(void **state)
{
    (void)state;
    struct mega_rng g;
    mega_rng_start(&g, 5, 6);
    enum { M = 23, N = 70, K = 41 };
    struct mega_matrix a = random_matrix(&g, M, K), b = random_matrix(&g, K, N),
                       whole = random_matrix(&g, M, N), alone = random_matrix(&g, 1, N);
    const struct mega_products *f = mega_products(mega_isa_here());
    f->multiply(M, N, K, mega_left(a), mega_right(f, b, N), whole, false);
    for (int64_t i = 0; i < M; i++) {
        struct mega_matrix row = { mega_matrix_row(a, i), K };
        f->multiply(1, N, K, mega_left(row), mega_right(f, b, N), alone, false);
        assert_memory_equal(alone.at, mega_matrix_row(whole, i), N * sizeof(float));
    }
    free(a.at);
    free(b.at);
    free(whole.at);
    free(alone.at);
}

/* the same bits for 1 to 9 rows, and those of a dot product of rows.h */
static void nor_do_a_few(void **state)
{
    (void)state;
    struct mega_rng g;
    mega_rng_start(&g, 7, 8);
    enum { M = 9, N = 37, K = 83 };
    struct mega_matrix a = random_matrix(&g, M, K), b = random_matrix(&g, N, K),
                       c = random_matrix(&g, M, N);
    for (enum mega_isa isa = MEGA_ISA_BASE; isa <= mega_isa_here(); isa++)
        for (int64_t m = 1; m <= M; m++) {
            mega_products(isa)->few(m, N, K, a, b, c);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < N; j++)
                    assert_true(mega_matrix_row(c, i)[j] ==
                                mega_cpu_rows(isa)->dot(
                                    mega_matrix_row(a, i), mega_matrix_row(b, j), K));
        }
    free(a.at);
    free(b.at);
    free(c.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_the_definition),
        cmocka_unit_test(a_row_does_not_depend_on_those_beside_it),
        cmocka_unit_test(nor_do_a_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
