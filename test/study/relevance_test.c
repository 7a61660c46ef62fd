/* Rules of relevance: numbers worked out by hand, conservation, closed heads, and the Jacobian
 * of attention's core by differences. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "study/relevance_rules.h"

#include "cmocka_all.h"

static const struct mega_relevance_rule ab = { false, 1e-5 }, zplus = { true, 1e-7 };

static void near(double got, double want, double by, const char *what)
{
    if (!(fabs(got - want) <= by)) fail_msg("%s is %.9f, expected %.9f", what, got, want);
}

static void a_linear_layer_gives_the_golden_values(void **state)
{
    (void)state;
    /* w [out, in] */
    static const double w[] = { 1, 2, -1, -1, 1, 0.5 }, b[] = { 0.3, -0.6 }, x[] = { 1, -1, 2 },
                        r[] = { 1, 0.5 }, want[] = { 0.624995, 0.374999, 0.499996 };
    double in[3];
    mega_relevance_linear(&ab, w, b, x, r, in, 3, 2);
    for (int i = 0; i < 3; i++) near(in[i], want[i], 1e-6, "relevance of an input");
    near(mega_relevance_total(in, 3), 1.499990, 1e-6, "the total");
}

static void a_sum_gives_the_golden_values(void **state)
{
    (void)state;
    static const double x[] = { 1, -1, 2, 0.5 }, u[] = { 3, 2, -1, -0.5 }, r[] = { 1, 1, 1, 1 },
                        want_x[] = { 0.142858, 0.571427, 0.571430, 0.571421 },
                        want_u[] = { 0.428574, 0.571430, 0.571427, 0.571421 };
    double r_x[4], r_u[4];
    mega_relevance_sum(&ab, x, u, r, r_x, r_u, 4);
    for (int i = 0; i < 4; i++) near(r_x[i], want_x[i], 1e-6, "to x");
    for (int i = 0; i < 4; i++) near(r_u[i], want_u[i], 1e-6, "to u");
    near(mega_relevance_total(r_x, 4) + mega_relevance_total(r_u, 4), 3.999989, 1e-6, "in all");
}

static void zplus_shares_by_positive_weights(void **state)
{
    (void)state;
    /* y = 2 x0 + x1 (the -3 counts as e): 4 and 1 of 5 */
    static const double w[] = { 2, 1, -3 }, x[] = { 2, 1, 1 }, r[] = { 1 };
    double in[3];
    mega_relevance_linear(&zplus, w, NULL, x, r, in, 3, 1);
    near(in[0], 0.8, 1e-6, "the first");
    near(in[1], 0.2, 1e-6, "the second");
    near(in[2], 0, 1e-6, "the third");
}

static void a_norm_passes_all_on(void **state)
{
    (void)state;
    static const double x[] = { 1, -2, 0.5, 3 }, g[] = { 1, 0.5, 2, -1 },
                        b[] = { 0.1, 0, -0.2, 0.3 }, r[] = { 0.1, 0.2, 0.3, 0.4 };
    for (int rms = 0; rms < 2; rms++) {
        double in[4];
        mega_relevance_norm(&ab, rms, 1e-6, g, b, x, r, in, 4);
        near(mega_relevance_total(in, 4), 1, 1e-4, "the total");
        for (int i = 0; i < 4; i++) assert_true(in[i] >= 0);
    }
    /* constant rows have no variance: still finite */
    static const double same[] = { 2, 2, 2, 2 };
    double in[4];
    mega_relevance_norm(&ab, false, 1e-6, g, b, same, r, in, 4);
    for (int i = 0; i < 4; i++) assert_true(isfinite(in[i]));
}

/* ---- rules against the Jacobian by differences ---- */

/* A map of n_in numbers to n_out, and its rule. */
struct map {
    const char *name;
    int n_in, n_out;
    void (*run)(const double *x, double *y);
    void (*rule)(const double *x, const double *r_out, double *r_in);
};

static const double gain[] = { 1, 0.5, 2, -1 }, offset[] = { 0.1, 0, -0.2, 0.3 },
                    matrix[] = { 1, 2, -1, 0.3, -1, 0.5, 0.7, -0.2, 0.4, 0.1, -0.6, 1.5 };

static void run_linear(const double *x, double *y)
{
    for (int j = 0; j < 3; j++) {
        y[j] = offset[j];
        for (int i = 0; i < 4; i++) y[j] += matrix[4 * j + i] * x[i];
    }
}

static void rule_linear(const double *x, const double *r_out, double *r_in)
{
    mega_relevance_linear(&ab, matrix, offset, x, r_out, r_in, 4, 3);
}

static void run_sum(const double *x, double *y)
{
    for (int i = 0; i < 3; i++) y[i] = x[i] + x[3 + i];
}

static void rule_sum(const double *x, const double *r_out, double *r_in)
{
    mega_relevance_sum(&ab, x, x + 3, r_out, r_in, r_in + 3, 3);
}

static void run_norm(const double *x, double *y, bool rms)
{
    double mean = 0, square = 0;
    for (int i = 0; i < 4 && !rms; i++) mean += x[i] / 4;
    for (int i = 0; i < 4; i++) square += (x[i] - mean) * (x[i] - mean) / 4;
    for (int i = 0; i < 4; i++)
        y[i] = gain[i] * (x[i] - mean) / sqrt(square + 1e-6) + offset[i];
}

static void run_layer(const double *x, double *y)
{
    run_norm(x, y, false);
}

static void rule_layer(const double *x, const double *r_out, double *r_in)
{
    mega_relevance_norm(&ab, false, 1e-6, gain, offset, x, r_out, r_in, 4);
}

static void run_rms(const double *x, double *y)
{
    run_norm(x, y, true);
}

static void rule_rms(const double *x, const double *r_out, double *r_in)
{
    mega_relevance_norm(&ab, true, 1e-6, gain, offset, x, r_out, r_in, 4);
}

/* of three rows of two */
static void run_mean(const double *x, double *y)
{
    for (int c = 0; c < 2; c++) y[c] = (x[c] + x[2 + c] + x[4 + c]) / 3;
}

static void rule_mean(const double *x, const double *r_out, double *r_in)
{
    mega_relevance_mean(&ab, x, r_out, r_in, 3, 2);
}

/* z_ji = r0_j / n + J_ji x_i, shared out, then scaled to what came */
static void share_by_differences(
    const struct map *m, const double *x, const double *r_out, double *want)
{
    double zero[8] = { 0 }, rest[8], total = 0, given = 0;
    m->run(zero, rest);
    for (int i = 0; i < m->n_in; i++) want[i] = 0;
    for (int j = 0; j < m->n_out; j++) {
        struct mega_relevance_sums s = { 0, 0 };
        double z[8];
        for (int i = 0; i < m->n_in; i++) {
            double up[8], down[8], more[8], less[8];
            memcpy(up, x, sizeof up);
            memcpy(down, x, sizeof down);
            up[i] += 1e-5;
            down[i] -= 1e-5;
            m->run(up, more);
            m->run(down, less);
            z[i] = rest[j] / m->n_in + (more[j] - less[j]) / 2e-5 * x[i];
            mega_relevance_see(&s, z[i]);
        }
        for (int i = 0; i < m->n_in; i++)
            want[i] += r_out[j] * mega_relevance_share(&ab, &s, z[i]);
        given += r_out[j];
    }
    for (int i = 0; i < m->n_in; i++) total += want[i];
    for (int i = 0; i < m->n_in; i++) want[i] *= given / (total + ab.eps);
}

static void rules_are_those_of_the_jacobian(void **state)
{
    (void)state;
    static const struct map maps[] = {
        { "linear", 4, 3, run_linear, rule_linear },
        { "sum", 6, 3, run_sum, rule_sum },
        { "layernorm", 4, 4, run_layer, rule_layer },
        { "rmsnorm", 4, 4, run_rms, rule_rms },
        { "mean", 6, 2, run_mean, rule_mean },
    };
    static const double x[8] = { 0.8, -1.7, 0.5, 2.2, -0.9, 1.1 },
                        r_out[] = { 0.1, 0.4, 0.2, 0.3 };
    for (size_t k = 0; k < sizeof maps / sizeof *maps; k++) {
        double want[8], got[8];
        share_by_differences(&maps[k], x, r_out, want);
        maps[k].rule(x, r_out, got);
        for (int i = 0; i < maps[k].n_in; i++) near(got[i], want[i], 1e-7, maps[k].name);
    }
}

/* ---- the core of attention ---- */

enum { T = 4, D = 3, V = 2 };

struct core {
    double q[T * D], k[T * D], v[T * V], a[T * T], o[T * V];
};

static void swing(const void *arg, int64_t place, bool back, double *x)
{
    (void)arg;
    double angle = 0.7 * (double)place * (back ? -1 : 1), u = x[0], w = x[1];
    x[0] = u * cos(angle) - w * sin(angle);
    x[1] = w * cos(angle) + u * sin(angle);
}

static const double factor = 0.57;

/* causal attention with turned queries and keys */
static void run(struct core *c)
{
    for (int i = 0; i < T; i++) {
        double sum = 0, q[D];
        memcpy(q, c->q + i * D, sizeof q);
        swing(NULL, i, false, q);
        for (int j = 0; j < T; j++) {
            double k[D], s = 0;
            memcpy(k, c->k + j * D, sizeof k);
            swing(NULL, j, false, k);
            for (int f = 0; f < D; f++) s += factor * q[f] * k[f];
            c->a[i * T + j] = j <= i ? exp(s) : 0;
            sum += c->a[i * T + j];
        }
        for (int j = 0; j < T; j++) c->a[i * T + j] /= sum;
        for (int e = 0; e < V; e++) {
            c->o[i * V + e] = 0;
            for (int j = 0; j < T; j++) c->o[i * V + e] += c->a[i * T + j] * c->v[j * V + e];
        }
    }
}

/* d(o[at]) / d(number) by differences */
static double slope(struct core c, double *number, const struct core *whole, int at)
{
    struct core up = c, down = c;
    size_t place = (size_t)(number - (const double *)whole);
    ((double *)&up)[place] += 1e-5;
    ((double *)&down)[place] -= 1e-5;
    run(&up);
    run(&down);
    return (up.o[at] - down.o[at]) / 2e-5;
}

static void the_core_shares_by_its_jacobian(void **state)
{
    (void)state;
    struct core c;
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (size_t i = 0; i < sizeof c / sizeof(double); i++)
        ((double *)&c)[i] = mega_rng_normal(&g);
    run(&c);
    struct mega_relevance_core core = { T, T, D, V, factor, c.a, c.q, c.k, c.v, c.o, T, D, D, V,
        V, swing, NULL };
    for (int at = 0; at < T * V; at++) {
        double r[T * V] = { 0 }, r_q[T * D] = { 0 }, r_k[T * D] = { 0 }, r_v[T * V] = { 0 };
        double z[3 * T * D], want;
        struct mega_relevance_sums s = { 0, 0 };
        int n = 0;
        r[at] = 1;
        assert_true(mega_relevance_core(&ab, &core, r, r_q, r_k, r_v));
        for (int i = 0; i < T * D; i++) z[n++] = slope(c, &c.q[i], &c, at) * c.q[i];
        for (int i = 0; i < T * D; i++) z[n++] = slope(c, &c.k[i], &c, at) * c.k[i];
        for (int i = 0; i < T * V; i++) z[n++] = slope(c, &c.v[i], &c, at) * c.v[i];
        /* keys reach an output by many queries' scores, queries by one: sums of parts are parts
         */
        for (int i = 0; i < n; i++) mega_relevance_see(&s, z[i]);
        for (int i = 0; i < T * D; i++) {
            want = mega_relevance_share(&ab, &s, z[i]);
            near(r_q[i], want, 1e-6, "relevance of a query");
        }
        for (int i = 0; i < T * V; i++) {
            want = mega_relevance_share(&ab, &s, z[2 * T * D + i]);
            near(r_v[i], want, 1e-6, "relevance of a value");
        }
        for (int i = 0; i < T * D; i++) {
            want = mega_relevance_share(&ab, &s, z[T * D + i]);
            near(r_k[i], want, 1e-6, "relevance of a key");
            if (i / D > at / V) near(r_k[i], 0, 0, "relevance of what comes later");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_layer_gives_the_golden_values),
        cmocka_unit_test(a_sum_gives_the_golden_values),
        cmocka_unit_test(zplus_shares_by_positive_weights),
        cmocka_unit_test(a_norm_passes_all_on),
        cmocka_unit_test(rules_are_those_of_the_jacobian),
        cmocka_unit_test(the_core_shares_by_its_jacobian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
