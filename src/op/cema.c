/* cema: complex exponential moving average (Megalodon, Ma et al., 2024, sections 3.3 and 4.2 of
 * the specification). For each channel d and state n = 1 ... N, complex but for a, p and x:
 *
 *   a = sigmoid(alpha), e = sigmoid(delta), phi = n sigmoid(theta_d) 2 pi / N
 *   p = a, q = (1 - a e) exp(i phi), g = sqrt(1/N) (gamma_re + i gamma_im)
 *   h[t] = q h[t-1] + p x[t],    y[t] = Re sum_n g h[t] + omega x[t]
 *
 * A place that is not real takes nothing in, leaves the states as they are and gives 0. Nothing
 * crosses the start of a document. With states h the row goes on where it stood. */
#include <complex.h>
#include <math.h>

#include "op/act.h"

enum { X = MEGA_CEMA_X, ALPHA, DELTA, THETA, GAMMA, OMEGA, H };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_cema *a = c->attr;
    static const char *const names[] = { "x", "alpha", "delta", "theta", "gamma", "omega",
        "the state" };
    if (c->in[X]->rank != 3) return mega_op_refuse(c, "x", c->in[X], "[B, T, D]");
    int64_t B = mega_dim(c->in[X], 0), D = mega_dim(c->in[X], 2), N = mega_dim(c->in[ALPHA], 1);
    for (int i = ALPHA; i <= DELTA; i++)
        if (mega_dim(c->in[i], 0) != D || N < 1 || mega_count(c->in[i]) != D * N)
            return mega_op_refuse(
                c, names[i], c->in[i], "[%lld, %lld, 1]", (long long)D, (long long)N);
    if (mega_count(c->in[THETA]) != D)
        return mega_op_refuse(c, names[THETA], c->in[THETA], "[%lld, 1, 1]", (long long)D);
    if (mega_dim(c->in[GAMMA], 0) != D || mega_dim(c->in[GAMMA], 1) != N ||
        mega_dim(c->in[GAMMA], 2) != 2)
        return mega_op_refuse(
            c, names[GAMMA], c->in[GAMMA], "[%lld, %lld, 2]", (long long)D, (long long)N);
    if (c->in[OMEGA] && mega_count(c->in[OMEGA]) != D)
        return mega_op_refuse(c, names[OMEGA], c->in[OMEGA], "[%lld, 1]", (long long)D);
    const mega_tensor *h = c->in[H];
    if (h &&
        (h->rank != 4 || h->dim[0] != B || h->dim[1] != D || h->dim[2] != N || h->dim[3] != 2))
        return mega_op_refuse(
            c, names[H], h, "[%lld, %lld, %lld, 2]", (long long)B, (long long)D, (long long)N);
    out[0] = mega_activation(c, c->in[X]);
    if (a->state) out[1] = mega_shaped(mega_wide_type(c), 4, B, D, N, 2);
    return MEGA_OK;
}

/* a complex product is four multiply-adds; a state takes one and what enters it, and gives its
 * real part */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 12.0 * (double)mega_height(c->in[X]) * (double)mega_count(c->in[ALPHA]);
}

/* element i of a parameter, whatever its shape */
static double element(const mega_tensor *t, int64_t i)
{
    return mega_get(t, i / mega_width(t), i % mega_width(t));
}

static void give(struct mega_grads *g, int input, int64_t i, double value)
{
    const mega_tensor *t = g->in[input];
    if (t) mega_grad_add(g, input, i / mega_width(t), i % mega_width(t), value);
}

struct coefficients {
    double p, e;           /* a = p; sigmoid of delta */
    double speed;          /* d phi / d sigmoid(theta) */
    double s;              /* sigmoid of theta */
    double complex q, way; /* way: exp(i phi) */
    double complex g;
};

/* of state n, from 0, of channel d */
static struct coefficients coefficients_of(const struct mega_call *c, int64_t d, int64_t n)
{
    int64_t N = c->in[ALPHA]->dim[1], at = d * N + n;
    struct coefficients k;
    k.p = mega_act(MEGA_ACT_SIGMOID, element(c->in[ALPHA], at));
    k.e = mega_act(MEGA_ACT_SIGMOID, element(c->in[DELTA], at));
    k.s = mega_act(MEGA_ACT_SIGMOID, element(c->in[THETA], d));
    k.speed = (double)(n + 1) * 2 * acos(-1) / (double)N;
    k.way = cexp(I * k.s * k.speed);
    k.q = (1 - k.p * k.e) * k.way;
    k.g = sqrt(1 / (double)N) *
          (element(c->in[GAMMA], 2 * at) + I * element(c->in[GAMMA], 2 * at + 1));
    return k;
}

static double omega(const struct mega_call *c, int64_t d)
{
    return c->in[OMEGA] ? element(c->in[OMEGA], d) : 0;
}

/* ---- one channel of one row ---- */

struct walk {
    const struct mega_call *c;
    int64_t b, d, T;
};

static bool begins(const struct walk *w, int64_t t)
{
    const struct mega_rows *rows = w->c->rows;
    return rows->doc && t < mega_rows_len(rows, w->b) && rows->doc[w->b * w->T + t] == t;
}

static bool real(const struct walk *w, int64_t t)
{
    return mega_rows_real(w->c->rows, w->b, t);
}

static bool takes_state(const struct walk *w)
{
    return w->c->in[H] && !mega_rows_fresh(w->c->rows, w->b) && !begins(w, 0);
}

/* row of state n in a tensor [B, D, N, 2] */
static int64_t state_row(const struct walk *w, int64_t n)
{
    const struct mega_call *c = w->c;
    return (w->b * c->in[X]->dim[2] + w->d) * c->in[ALPHA]->dim[1] + n;
}

static double complex complex_at(const mega_tensor *t, int64_t row)
{
    return mega_get(t, row, 0) + I * mega_get(t, row, 1);
}

static double complex first_state(const struct walk *w, int64_t n)
{
    return takes_state(w) ? complex_at(w->c->in[H], state_row(w, n)) : 0;
}

static double x_at(const struct walk *w, int64_t t)
{
    return mega_get(w->c->in[X], w->b * w->T + t, w->d);
}

/* h[t] of state n after every place; returns the last */
static double complex states(
    const struct walk *w, const struct coefficients *k, int64_t n, double complex *h)
{
    double complex now = first_state(w, n);
    for (int64_t t = 0; t < w->T; t++) {
        if (begins(w, t)) now = 0;
        if (real(w, t)) now = k->q * now + k->p * x_at(w, t);
        h[t] = now;
    }
    return now;
}

static void filter(const struct walk *w, double complex *h, double *y)
{
    const struct mega_call *c = w->c;
    for (int64_t t = 0; t < w->T; t++) y[t] = omega(c, w->d) * x_at(w, t);
    for (int64_t n = 0; n < c->in[ALPHA]->dim[1]; n++) {
        struct coefficients k = coefficients_of(c, w->d, n);
        double complex last = states(w, &k, n, h);
        for (int64_t t = 0; t < w->T; t++) y[t] += creal(k.g * h[t]);
        if (!c->out[1]) continue;
        mega_put(c->out[1], state_row(w, n), 0, creal(last));
        mega_put(c->out[1], state_row(w, n), 1, cimag(last));
    }
}

static void forward(const struct mega_call *c)
{
    int64_t B = c->in[X]->dim[0], T = c->in[X]->dim[1], D = c->in[X]->dim[2];
    double complex *h = mega_scratch(c->work, (size_t)(T + 1) * sizeof *h);
    double *y = mega_scratch(c->work, (size_t)(T + 1) * sizeof *y);
    for (int64_t b = 0; b < B; b++)
        for (int64_t d = 0; d < D; d++) {
            struct walk w = { c, b, d, T };
            filter(&w, h, y);
            for (int64_t t = 0; t < T; t++)
                mega_put(c->out[0], b * T + t, d, real(&w, t) ? y[t] : 0);
        }
}

/* ---- backward ---- */

/* of one state of one row */
struct slopes {
    double p;
    double complex q, g; /* d/dRe + i d/dIm */
};

static void give_slopes(const struct walk *w, const struct coefficients *k, int64_t n,
    const struct slopes *s, struct mega_grads *g)
{
    int64_t N = w->c->in[ALPHA]->dim[1], at = w->d * N + n;
    double complex turned = conj(k->way) * s->q;
    double d_length = creal(turned), d_angle = (1 - k->p * k->e) * cimag(turned);
    give(g, ALPHA, at, (s->p - k->e * d_length) * k->p * (1 - k->p));
    give(g, DELTA, at, -k->p * d_length * k->e * (1 - k->e));
    give(g, THETA, w->d, d_angle * k->speed * k->s * (1 - k->s));
    give(g, GAMMA, 2 * at, creal(s->g) * sqrt(1 / (double)N));
    give(g, GAMMA, 2 * at + 1, cimag(s->g) * sqrt(1 / (double)N));
}

/* l[t] = conj(q) l[t+1] + conj(g) dy[t] against the walk: the gradient of h[t] */
static void filter_backward(
    const struct walk *w, int64_t n, double complex *h, double *dx, struct mega_grads *g)
{
    const struct mega_call *c = w->c;
    struct coefficients k = coefficients_of(c, w->d, n);
    struct slopes s = { 0 };
    states(w, &k, n, h);
    double complex l = g->out[1] ? complex_at(g->out[1], state_row(w, n)) : 0;
    for (int64_t t = w->T - 1; t >= 0; t--) {
        if (real(w, t)) {
            double dy = mega_grad_out(g, 0, w->b * w->T + t, w->d);
            double complex before = begins(w, t) ? 0 : t ? h[t - 1] : first_state(w, n);
            l += conj(k.g) * dy;
            dx[t] += k.p * creal(l);
            s.p += creal(l) * x_at(w, t);
            s.q += l * conj(before);
            s.g += dy * conj(h[t]);
            l *= conj(k.q);
        }
        if (begins(w, t)) l = 0;
    }
    give_slopes(w, &k, n, &s, g);
    if (!takes_state(w)) return;
    mega_grad_add(g, H, state_row(w, n), 0, creal(l));
    mega_grad_add(g, H, state_row(w, n), 1, cimag(l));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t B = c->in[X]->dim[0], T = c->in[X]->dim[1], D = c->in[X]->dim[2];
    double complex *h = mega_scratch(c->work, (size_t)(T + 1) * sizeof *h);
    double *dx = mega_scratch(c->work, (size_t)(T + 1) * sizeof *dx);
    mega_grads_begin(g);
    for (int64_t b = 0; b < B; b++)
        for (int64_t d = 0; d < D; d++) {
            struct walk w = { c, b, d, T };
            double d_omega = 0;
            for (int64_t t = 0; t < T; t++) {
                double dy = real(&w, t) ? mega_grad_out(g, 0, b * T + t, d) : 0;
                dx[t] = omega(c, d) * dy;
                d_omega += dy * x_at(&w, t);
            }
            for (int64_t n = 0; n < c->in[ALPHA]->dim[1]; n++) filter_backward(&w, n, h, dx, g);
            give(g, OMEGA, d, d_omega);
            for (int64_t t = 0; t < T; t++) mega_grad_add(g, X, b * T + t, d, dx[t]);
        }
}

const struct mega_op mega_op_cema = {
    .name = "cema",
    .n_in = 7,
    .n_out = 2,
    .optional = 1u << OMEGA | 1u << H,
    .attr_size = sizeof(struct mega_attr_cema),
    .shape = shape,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
