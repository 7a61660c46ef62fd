#include "study/relevance_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mega_relevance_see(struct mega_relevance_sums *s, double z)
{
    if (z > 0)
        s->up += z;
    else
        s->down += z;
}

double mega_relevance_share(
    const struct mega_relevance_rule *rule, const struct mega_relevance_sums *s, double z)
{
    return z > 0 ? 0.5 * z / (s->up + rule->eps) : 0.5 * z / (s->down - rule->eps);
}

double mega_relevance_total(const double *r, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs(r[i]);
    return sum;
}

void mega_relevance_rescale(
    const struct mega_relevance_rule *rule, double total, double *r, int64_t n)
{
    double factor = total / (mega_relevance_total(r, n) + rule->eps);
    for (int64_t i = 0; i < n; i++) r[i] *= factor;
}

/* positive weights alone, inputs moved by e, no bias */
static void linear_zplus(const struct mega_relevance_rule *rule, const double *w,
    const double *x, const double *r_out, double *r_in, int64_t n_in, int64_t n_out)
{
    double e = rule->eps;
    for (int64_t j = 0; j < n_out; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n_in; i++) sum += fmax(w[j * n_in + i], e) * (x[i] + e);
        if (!(fabs(sum) > 0)) continue;
        for (int64_t i = 0; i < n_in; i++)
            r_in[i] += (x[i] + e) * fmax(w[j * n_in + i], e) * r_out[j] / sum;
    }
}

void mega_relevance_linear_parts(const struct mega_relevance_rule *rule, const double *w,
    const double *b, const double *x, const double *r_out, double *r_in, int64_t n_in,
    int64_t n_out)
{
    if (rule->zplus) linear_zplus(rule, w, x, r_out, r_in, n_in, n_out);
    for (int64_t j = 0; j < n_out && !rule->zplus; j++) {
        if (!(fabs(r_out[j]) > 0)) continue;
        struct mega_relevance_sums s = { 0, 0 };
        double rest = b ? b[j] / (double)n_in : 0;
        for (int64_t i = 0; i < n_in; i++)
            mega_relevance_see(&s, rest + w[j * n_in + i] * x[i]);
        for (int64_t i = 0; i < n_in; i++)
            r_in[i] += r_out[j] * mega_relevance_share(rule, &s, rest + w[j * n_in + i] * x[i]);
    }
}

void mega_relevance_linear(const struct mega_relevance_rule *rule, const double *w,
    const double *b, const double *x, const double *r_out, double *r_in, int64_t n_in,
    int64_t n_out)
{
    memset(r_in, 0, (size_t)n_in * sizeof *r_in);
    mega_relevance_linear_parts(rule, w, b, x, r_out, r_in, n_in, n_out);
    for (int64_t i = 0; i < n_in; i++) r_in[i] = fabs(r_in[i]);
    mega_relevance_rescale(rule, mega_relevance_total(r_out, n_out), r_in, n_in);
}

void mega_relevance_mean(const struct mega_relevance_rule *rule, const double *x,
    const double *r_out, double *r_in, int64_t T, int64_t D)
{
    double e = rule->eps;
    memset(r_in, 0, (size_t)(T * D) * sizeof *r_in);
    for (int64_t c = 0; c < D; c++) {
        struct mega_relevance_sums s = { 0, 0 };
        double sum = 0;
        for (int64_t t = 0; t < T; t++) {
            mega_relevance_see(&s, x[t * D + c] / (double)T);
            sum += x[t * D + c] + e;
        }
        for (int64_t t = 0; t < T; t++) {
            double z = x[t * D + c] / (double)T;
            if (!rule->zplus)
                r_in[t * D + c] = r_out[c] * mega_relevance_share(rule, &s, z);
            else if (fabs(sum) > 0)
                r_in[t * D + c] = fabs(r_out[c] * (x[t * D + c] + e) / sum);
        }
    }
    mega_relevance_rescale(rule, mega_relevance_total(r_out, D), r_in, T * D);
}

void mega_relevance_sum(const struct mega_relevance_rule *rule, const double *x,
    const double *u, const double *r_out, double *r_x, double *r_u, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        struct mega_relevance_sums s = { 0, 0 };
        mega_relevance_see(&s, x[i]);
        mega_relevance_see(&s, u[i]);
        double sum = x[i] + u[i];
        if (rule->zplus) {
            r_x[i] = fabs(sum) > 0 ? fabs(r_out[i] * x[i] / sum) : 0;
            r_u[i] = fabs(sum) > 0 ? fabs(r_out[i] * u[i] / sum) : 0;
        } else {
            r_x[i] = r_out[i] * mega_relevance_share(rule, &s, x[i]);
            r_u[i] = r_out[i] * mega_relevance_share(rule, &s, u[i]);
        }
    }
    double factor = mega_relevance_total(r_out, n) /
                    (mega_relevance_total(r_x, n) + mega_relevance_total(r_u, n) + rule->eps);
    for (int64_t i = 0; i < n; i++) {
        r_x[i] *= factor;
        r_u[i] *= factor;
    }
}

void mega_relevance_norm(const struct mega_relevance_rule *rule, bool rms, double norm_eps,
    const double *g, const double *b, const double *x, const double *r_out, double *r_in,
    int64_t n)
{
    double mean = 0, square = 0;
    if (rule->zplus) {
        memcpy(r_in, r_out, (size_t)n * sizeof *r_in);
        return;
    }
    for (int64_t i = 0; i < n && !rms; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean) / (double)n;
    double root = sqrt(square + norm_eps), cube = root * root * root;
    memset(r_in, 0, (size_t)n * sizeof *r_in);
    for (int64_t j = 0; j < n; j++) {
        struct mega_relevance_sums s = { 0, 0 };
        double gain = g ? g[j] : 1, rest = b ? b[j] / (double)n : 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < n; i++) {
                double slope = (i == j) / root -
                               (x[j] - mean) * (x[i] - mean) / ((double)n * cube) -
                               (rms ? 0 : 1 / ((double)n * root));
                double z = rest + gain * slope * x[i];
                if (pass)
                    r_in[i] += r_out[j] * mega_relevance_share(rule, &s, z);
                else
                    mega_relevance_see(&s, z);
            }
    }
    mega_relevance_rescale(rule, mega_relevance_total(r_out, n), r_in, n);
}

/* ---- the core of attention ---- */

struct core {
    const struct mega_relevance_rule *rule;
    const struct mega_relevance_core *c;
    const double *r_o;
    double *r_q, *r_k, *r_v;
    double *turned_k; /* [M, d] as the scores see them */
    double *query;    /* [M, d] the query, as each key meets it before its own turn */
    double *slope;    /* [d] by the query, before its turn */
};

static void turn(const struct mega_relevance_core *c, int64_t place, bool back, double *x)
{
    if (c->turn) c->turn(c->turn_arg, place, back, x);
}

/* what query i is to every key before either turned; d(o_ie)/d(q_i) = slope */
static void look(struct core *k, int64_t i)
{
    const struct mega_relevance_core *c = k->c;
    for (int64_t j = 0; j < c->M; j++) {
        double *q = k->query + j * c->d;
        memcpy(q, c->q + i * c->q_stride, (size_t)c->d * sizeof *q);
        turn(c, i, false, q);
        turn(c, j, true, q);
    }
}

static void find_slope(struct core *k, int64_t i, int64_t e)
{
    const struct mega_relevance_core *c = k->c;
    memset(k->slope, 0, (size_t)c->d * sizeof *k->slope);
    for (int64_t j = 0; j < c->M; j++) {
        double a = c->a[i * c->a_stride + j],
               rise = a * (c->v[j * c->v_stride + e] - c->o[i * c->o_stride + e]) * c->scale;
        for (int64_t f = 0; f < c->d && fabs(a) > 0; f++)
            k->slope[f] += rise * k->turned_k[j * c->d + f];
    }
    turn(c, i, true, k->slope);
}

/* visits every part of output (i, e): first to see, then to give */
static void parts(
    struct core *k, int64_t i, int64_t e, double r, struct mega_relevance_sums *s, bool give)
{
    const struct mega_relevance_core *c = k->c;
    for (int64_t j = 0; j < c->M; j++) {
        double a = c->a[i * c->a_stride + j], v = c->v[j * c->v_stride + e],
               rise = a * (v - c->o[i * c->o_stride + e]) * c->scale;
        if (!(fabs(a) > 0)) continue;
        if (give)
            k->r_v[j * c->v_stride + e] += r * mega_relevance_share(k->rule, s, a * v);
        else
            mega_relevance_see(s, a * v);
        for (int64_t f = 0; f < c->d; f++) {
            double z = rise * k->query[j * c->d + f] * c->k[j * c->k_stride + f];
            if (give)
                k->r_k[j * c->k_stride + f] += r * mega_relevance_share(k->rule, s, z);
            else
                mega_relevance_see(s, z);
        }
    }
    for (int64_t f = 0; f < c->d; f++) {
        double z = k->slope[f] * c->q[i * c->q_stride + f];
        if (give)
            k->r_q[i * c->q_stride + f] += r * mega_relevance_share(k->rule, s, z);
        else
            mega_relevance_see(s, z);
    }
}

/* gradient of the core with R / O coming from above, times the input */
static void parts_zplus(struct core *k, int64_t i, int64_t e, double r)
{
    const struct mega_relevance_core *c = k->c;
    double o = c->o[i * c->o_stride + e];
    if (!(fabs(o) > 0)) return;
    r /= o;
    for (int64_t j = 0; j < c->M; j++) {
        double a = c->a[i * c->a_stride + j], v = c->v[j * c->v_stride + e];
        k->r_v[j * c->v_stride + e] += r * a * v;
        for (int64_t f = 0; f < c->d && fabs(a) > 0; f++)
            k->r_k[j * c->k_stride + f] +=
                r * a * (v - o) * c->scale * k->query[j * c->d + f] * c->k[j * c->k_stride + f];
    }
    for (int64_t f = 0; f < c->d; f++)
        k->r_q[i * c->q_stride + f] += r * k->slope[f] * c->q[i * c->q_stride + f];
}

bool mega_relevance_core(const struct mega_relevance_rule *rule,
    const struct mega_relevance_core *c, const double *r_o, double *r_q, double *r_k,
    double *r_v)
{
    double *memory = malloc((size_t)((2 * c->M + 1) * c->d + 1) * sizeof *memory);
    if (!memory) return false;
    struct core k = { rule, c, r_o, r_q, r_k, r_v, memory, memory + c->M * c->d,
        memory + 2 * c->M * c->d };
    for (int64_t j = 0; j < c->M; j++) {
        memcpy(k.turned_k + j * c->d, c->k + j * c->k_stride, (size_t)c->d * sizeof *memory);
        turn(c, j, false, k.turned_k + j * c->d);
    }
    for (int64_t i = 0; i < c->T; i++) {
        if (!(mega_relevance_total(r_o + i * c->o_stride, c->dv) > 0)) continue;
        look(&k, i);
        for (int64_t e = 0; e < c->dv; e++) {
            double r = r_o[i * c->o_stride + e];
            struct mega_relevance_sums s = { 0, 0 };
            if (!(fabs(r) > 0)) continue;
            find_slope(&k, i, e);
            if (rule->zplus) {
                parts_zplus(&k, i, e, r);
                continue;
            }
            parts(&k, i, e, r, &s, false);
            parts(&k, i, e, r, &s, true);
        }
    }
    free(memory);
    return true;
}
