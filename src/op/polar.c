/* polar: queries and keys by magnitude and angle (PoPE, 2509.10534). In each head of d
 * channels, with radius m_t = log(1 + exp(x_t)) and angle a_t = position base^(-t/d) / factor +
 * phase_t, the phase held to -2 pi ... 0:
 *
 *   y = [m_t cos(a_t), t = 0 ... d-1 ; m_t sin(a_t)] */
#include <math.h>

#include "op/contracts.h"
#include "op/position.h"

enum { X = MEGA_POLAR_X, PHASE = MEGA_POLAR_PHASE };

static const double turn = 6.28318530717958647692;

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_polar *a = c->attr;
    const mega_tensor *x = c->in[X], *phase = c->in[PHASE];
    int64_t B = c->rows->B, T = c->rows->T;
    if (a->heads < 1 || x->rank != 3 || x->dim[0] != B || x->dim[1] != T ||
        x->dim[2] % a->heads)
        return mega_op_refuse(c, "x", x, "[%lld, %lld, a multiple of %lld heads]", (long long)B,
            (long long)T, (long long)a->heads);
    if (phase && mega_count(phase) != x->dim[2])
        return mega_op_refuse(c, "phase", phase, "[%lld, %lld]", (long long)a->heads,
            (long long)(x->dim[2] / a->heads));
    if (!(a->base > 0) || !(a->factor > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "polar: base is %g and factor is %g, expected positive numbers", a->base,
            a->factor);
    out[0] = mega_activation(c, x);
    out[0].dim[2] = out[0].stride = 2 * x->dim[2];
    return MEGA_OK;
}

struct polar {
    double radius, slope, cos, sin;
    double phase; /* its own slope: 1 inside its range, else 0 */
};

static struct polar at(const struct mega_call *c, int64_t r, int64_t j)
{
    const struct mega_attr_polar *a = c->attr;
    int64_t T = c->rows->T, b = r / T, d = mega_width(c->in[X]) / a->heads;
    double x = mega_get(c->in[X], r, j), phase = 0;
    struct polar p = { .radius = fmax(x, 0) + log1p(exp(-fabs(x))),
        .slope = 1 / (1 + exp(-x)) };
    if (c->in[PHASE]) {
        double w = mega_get(c->in[PHASE], j / d, j % d);
        phase = fmin(fmax(w, -turn), 0);
        p.phase = w == phase;
    }
    int64_t position = mega_position(c->rows, b, r % T, mega_position_lead(c->rows, b));
    double angle = (double)position / a->factor * mega_frequency(j % d, 2 * d, a->base) + phase;
    p.cos = cos(angle);
    p.sin = sin(angle);
    return p;
}

/* where the cosine of channel j goes; the sine goes d places on */
static int64_t place(const struct mega_call *c, int64_t j)
{
    int64_t d = mega_width(c->in[X]) / ((const struct mega_attr_polar *)c->attr)->heads;
    return j / d * 2 * d + j % d;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_polar *a = c->attr;
    int64_t n = mega_width(c->in[X]), d = n / a->heads;
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            struct polar p = at(c, r, j);
            mega_put(c->out[0], r, place(c, j), p.radius * p.cos);
            mega_put(c->out[0], r, place(c, j) + d, p.radius * p.sin);
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_polar *a = c->attr;
    int64_t n = mega_width(c->in[X]), d = n / a->heads;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[X]); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            struct polar p = at(c, r, j);
            double by_cos = mega_grad_out(g, 0, r, place(c, j)),
                   by_sin = mega_grad_out(g, 0, r, place(c, j) + d);
            mega_grad_add(g, X, r, j, p.slope * (by_cos * p.cos + by_sin * p.sin));
            if (c->in[PHASE])
                mega_grad_add(g, PHASE, j / d, j % d,
                    p.phase * p.radius * (by_sin * p.cos - by_cos * p.sin));
        }
}

const struct mega_op mega_op_polar = {
    .name = "polar",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << PHASE,
    .attr_size = sizeof(struct mega_attr_polar),
    .shape = shape,
    .by_rows = 1u << X,
    .by_position = true,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
