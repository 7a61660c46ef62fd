/* rotary: positions as rotations of queries and keys (RoFormer, Su et al., 2021). In each head
 * of d channels, with m = dims / 2 pairs (u, v) and the angle a = position w_t / factor:
 *
 *   w_t = base^(-2t / dims), t = 0 ... m - 1
 *   (u, v) -> (u cos a - v sin a, v cos a + u sin a)
 *
 * A pair is channels 2t and 2t + 1 (interleaved) or t and t + m, counted from channel `from` of
 * the head; all others pass, and so do the heads before `first`. The gradient turns back.
 * With xpos, places over which a pair fades once (Sun et al., 2022), the pair is multiplied by
 * zeta_t^(position / xpos), zeta_t = (2t / dims + 0.4) / 1.4: a query's with the sign of xpos
 * +, a key's with -, so that their product knows the distance alone. Beyond 64 fadings nothing
 * fades further, and no number overflows. */
#include "op/contracts.h"
#include "op/position.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_rotary *a = c->attr;
    const mega_tensor *x = c->in[0];
    int64_t B = c->rows->B, T = c->rows->T;
    if (a->heads < 1 || x->rank != 3 || x->dim[0] != B || x->dim[1] != T ||
        x->dim[2] % a->heads)
        return mega_op_refuse(c, "x", x, "[%lld, %lld, a multiple of %lld heads]", (long long)B,
            (long long)T, (long long)a->heads);
    int64_t d = x->dim[2] / a->heads, dims = a->dims ? a->dims : d - a->from;
    if (dims < 0 || dims % 2 || a->from < 0 || dims > d - a->from)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary: %lld of %lld channels turn, expected an even number of them at most",
            (long long)dims, (long long)(d - a->from));
    if (a->first < 0 || a->first > a->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary: the first head that turns is %lld, expected one of %lld",
            (long long)a->first, (long long)a->heads);
    if (!(a->base > 0) || !(a->factor > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary: base is %g and factor is %g, expected positive numbers", a->base,
            a->factor);
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

/* the channels of pair t in a head */
struct pair {
    int64_t u, v;
};

static struct pair pair_of(const struct mega_attr_rotary *a, int64_t t, int64_t half)
{
    int64_t from = a->from;
    return a->interleaved ? (struct pair){ from + 2 * t, from + 2 * t + 1 }
                          : (struct pair){ from + t, from + t + half };
}

/* one row: y = x with all heads turned, by `sign` times the angles */
static void turn(
    const struct mega_call *c, int64_t row, double sign, const double *x, double *y)
{
    const struct mega_attr_rotary *a = c->attr;
    int64_t T = c->rows->T, b = row / T, d = mega_width(c->in[0]) / a->heads;
    int64_t dims = a->dims ? a->dims : d - a->from, half = dims / 2;
    int64_t position = mega_position(c->rows, b, row % T, mega_position_lead(c->rows, b));
    if (a->restart > 0) position %= a->restart;
    for (int64_t h = 0; h < a->heads; h++, x += d, y += d) {
        for (int64_t j = 0; j < d; j++) y[j] = x[j];
        for (int64_t t = 0; h >= a->first && t < half; t++) {
            double angle =
                sign * (double)position / a->factor * mega_frequency(t, dims, a->base);
            struct pair p = pair_of(a, t, half);
            double fading = a->xpos == 0 ? 1
                                         : pow(mega_fading_base(t, dims),
                                               mega_fading_power(a->xpos, position));
            y[p.u] = fading * (x[p.u] * cos(angle) - x[p.v] * sin(angle));
            y[p.v] = fading * (x[p.v] * cos(angle) + x[p.u] * sin(angle));
        }
    }
}

static void forward(const struct mega_call *c)
{
    int64_t n = mega_width(c->in[0]);
    double *x = mega_scratch(c->work, 2 * (size_t)n * sizeof *x), *y = x + n;
    for (int64_t r = 0, rows = mega_height(c->in[0]); r < rows; r++) {
        for (int64_t j = 0; j < n; j++) x[j] = mega_get(c->in[0], r, j);
        turn(c, r, 1, x, y);
        for (int64_t j = 0; j < n; j++) mega_put(c->out[0], r, j, y[j]);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t n = mega_width(c->in[0]);
    double *dy = mega_scratch(c->work, 2 * (size_t)n * sizeof *dy), *dx = dy + n;
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[0]); r < rows; r++) {
        for (int64_t j = 0; j < n; j++) dy[j] = mega_grad_out(g, 0, r, j);
        turn(c, r, -1, dy, dx);
        for (int64_t j = 0; j < n; j++) mega_grad_add(g, 0, r, j, dx[j]);
    }
}

const struct mega_op mega_op_rotary = {
    .name = "rotary",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_rotary),
    .shape = shape,
    .unread = 1u << 0,
    .by_rows = 1u << 0,
    .by_position = true,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
