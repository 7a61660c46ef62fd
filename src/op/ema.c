/* ema: multi-dimensional damped moving average (Mega sections 3.2-3.7).
 * For each channel and state n, with xm: x at real places, else 0,
 *
 *   p = sigmoid(delta), a = sigmoid(alpha), q = 1 - p a, c = sqrt(1/N)
 *   h[t] = q h[t-1] + p beta (xm[t] - q^M xm[t-M]),   y[t] = c sum_n gamma h[t]
 *   u = y + omega x, out = u or silu(u)     (x itself, padding or not)
 *
 * Two-way: rows D ... 2D-1 hold a second filter that runs from the end; its y is added. Nothing
 * crosses the start of a document. With a state h the row goes on where it stood; the state
 * that comes out is the one after the last place in use. */
#include <math.h>

#include "op/act.h"

enum { X = MEGA_EMA_X, DELTA, ALPHA, BETA, GAMMA, OMEGA, H };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_ema *a = c->attr;
    static const char *names[] = { "x", "delta", "alpha", "beta", "gamma", "omega",
        "the state" };
    int64_t D = mega_dim(c->in[X], 2), Q = a->two_way ? 2 * D : D,
            N = mega_dim(c->in[DELTA], 1);
    if (c->in[X]->rank != 3) return mega_op_refuse(c, "x", c->in[X], "[B, T, D]");
    for (int i = DELTA; i <= GAMMA; i++)
        if (mega_dim(c->in[i], 0) != Q || mega_dim(c->in[i], 1) != N || N < 1)
            return mega_op_refuse(
                c, names[i], c->in[i], "[%lld, %lld]", (long long)Q, (long long)N);
    if (c->in[OMEGA] && mega_count(c->in[OMEGA]) != D)
        return mega_op_refuse(c, "omega", c->in[OMEGA], "[%lld]", (long long)D);
    if (a->two_way && (c->in[H] || a->state))
        return mega_fail(MEGA_UNSUPPORTED,
            "ema: a two-way average sees the future, it cannot run with a state");
    int64_t B = mega_dim(c->in[X], 0);
    if (c->in[H] && (mega_dim(c->in[H], 0) != B || mega_dim(c->in[H], 1) != D ||
                        mega_dim(c->in[H], 2) != N))
        return mega_op_refuse(c, "the state", c->in[H], "[%lld, %lld, %lld]", (long long)B,
            (long long)D, (long long)N);
    out[0] = mega_activation(c, c->in[X]);
    if (a->state) out[1] = mega_shaped(mega_wide_type(c), 3, B, D, N, 0);
    return MEGA_OK;
}

static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)bytes;
    *flops = 4.0 * (double)mega_height(c->in[X]) * (double)mega_count(c->in[GAMMA]);
}

/* one filter of one channel on its way along one row: step i is at place i, or T-1-i when
 * mirrored */
struct walk {
    const struct mega_call *c;
    int64_t b, d, T, row; /* row: of the coefficients */
    bool mirrored;
    int64_t taps; /* M, or 0 for all */
};

static struct walk walk_of(const struct mega_call *c, int64_t b, int64_t d, int direction)
{
    const struct mega_attr_ema *a = c->attr;
    struct walk w = { .c = c, .b = b, .d = d, .T = c->in[X]->dim[1], .mirrored = direction };
    w.row = d + direction * c->in[X]->dim[2];
    bool stateful = c->in[H] || a->state;
    if (a->truncation > 0 && a->truncation < w.T && !stateful) w.taps = a->truncation;
    return w;
}

static int64_t place(const struct walk *w, int64_t i)
{
    return w->mirrored ? w->T - 1 - i : i;
}

/* a document begins at step i, seen in the direction of the walk */
static bool begins(const struct walk *w, int64_t i)
{
    const struct mega_rows *rows = w->c->rows;
    int64_t t = w->mirrored ? place(w, i) + 1 : i;
    return rows->doc && t < w->T && rows->doc[w->b * w->T + t] == t;
}

static double input(const struct walk *w, int64_t i)
{
    int64_t t = place(w, i);
    return mega_rows_real(w->c->rows, w->b, t) ? mega_get(w->c->in[X], w->b * w->T + t, w->d)
                                               : 0;
}

static bool takes_state(const struct walk *w)
{
    return w->c->in[H] && !mega_rows_fresh(w->c->rows, w->b) && !begins(w, 0);
}

struct coefficients {
    double p, a, q, beta, gamma, w; /* gamma with the constant c inside; w = q^M */
};

static struct coefficients coefficients_of(const struct walk *w, int64_t n)
{
    const struct mega_call *c = w->c;
    int64_t N = c->in[DELTA]->dim[1], flat = w->row * N + n;
    /* [Q, N, 1] and [Q, N] are read alike: as Q*N numbers in order */
    int64_t width = mega_width(c->in[DELTA]), width_gamma = mega_width(c->in[GAMMA]);
    struct coefficients k;
    k.p = mega_act(MEGA_ACT_SIGMOID, mega_get(c->in[DELTA], flat / width, flat % width));
    k.a = mega_act(MEGA_ACT_SIGMOID, mega_get(c->in[ALPHA], flat / width, flat % width));
    k.beta = mega_get(c->in[BETA], flat / width, flat % width);
    k.gamma =
        mega_get(c->in[GAMMA], flat / width_gamma, flat % width_gamma) * sqrt(1 / (double)N);
    k.q = 1 - k.p * k.a;
    k.w = w->taps ? exp((double)w->taps * log(k.q)) : 0;
    return k;
}

/* what state n takes in at step i, without the factor p beta */
static double intake(
    const struct walk *w, const struct coefficients *k, int64_t i, int64_t start)
{
    double x = input(w, i);
    return w->taps && i - w->taps >= start ? x - k->w * input(w, i - w->taps) : x;
}

static double first_state(const struct walk *w, int64_t n)
{
    return takes_state(w) ? mega_get(w->c->in[H], w->b * w->c->in[H]->dim[1] + w->d, n) : 0;
}

/* states h[i] of one n along the walk; start[i]: the step where the document of step i began */
static void states(
    const struct walk *w, const struct coefficients *k, int64_t n, double *h, int64_t *start)
{
    double now = first_state(w, n);
    int64_t from = 0;
    for (int64_t i = 0; i < w->T; i++) {
        if (begins(w, i)) {
            now = 0;
            from = i;
        }
        start[i] = from;
        now = k->q * now + k->p * k->beta * intake(w, k, i, from);
        h[i] = now;
    }
}

/* adds c sum_n gamma h to y [T] and, if wanted, puts the state after the last place in use */
static void filter(const struct walk *w, double *h, int64_t *start, double *y)
{
    const struct mega_call *c = w->c;
    for (int64_t n = 0; n < c->in[DELTA]->dim[1]; n++) {
        struct coefficients k = coefficients_of(w, n);
        states(w, &k, n, h, start);
        for (int64_t i = 0; i < w->T; i++) y[place(w, i)] += k.gamma * h[i];
        int64_t len = mega_rows_len(c->rows, w->b);
        if (c->out[1])
            mega_put(c->out[1], w->b * c->out[1]->dim[1] + w->d, n,
                len > 0 ? h[len - 1] : first_state(w, n));
    }
}

static double omega(const struct mega_call *c, int64_t d)
{
    return c->in[OMEGA] ? mega_get(c->in[OMEGA], 0, d) : 0;
}

struct room {
    double *y, *h, *g, *dx;
    int64_t *start;
};

static struct room room_of(const struct mega_call *c)
{
    size_t T = (size_t)c->in[X]->dim[1];
    struct room room;
    room.y = mega_scratch(c->work, (T + 1) * sizeof(double));
    room.h = mega_scratch(c->work, (T + 1) * sizeof(double));
    room.g = mega_scratch(c->work, (T + 1) * sizeof(double));
    room.dx = mega_scratch(c->work, (T + 1) * sizeof(double));
    room.start = mega_scratch(c->work, (T + 1) * sizeof(int64_t));
    return room;
}

/* y [T] of one channel, both directions, without omega */
static void raw(const struct mega_call *c, int64_t b, int64_t d, struct room *room)
{
    const struct mega_attr_ema *a = c->attr;
    for (int64_t t = 0; t < c->in[X]->dim[1]; t++) room->y[t] = 0;
    for (int direction = 0; direction <= a->two_way; direction++) {
        struct walk w = walk_of(c, b, d, direction);
        filter(&w, room->h, room->start, room->y);
    }
}

static enum mega_act act_of(const struct mega_call *c)
{
    return ((const struct mega_attr_ema *)c->attr)->silu ? MEGA_ACT_SILU : MEGA_ACT_LINEAR;
}

static void forward(const struct mega_call *c)
{
    struct room room = room_of(c);
    int64_t B = c->in[X]->dim[0], T = c->in[X]->dim[1], D = c->in[X]->dim[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t d = 0; d < D; d++) {
            raw(c, b, d, &room);
            for (int64_t t = 0; t < T; t++) {
                double u = room.y[t] + omega(c, d) * mega_get(c->in[X], b * T + t, d);
                mega_put(c->out[0], b * T + t, d, mega_act(act_of(c), u));
            }
        }
}

/* adds to the gradients of one state n's coefficients */
static void coefficient_gradients(const struct walk *w, const struct coefficients *k, int64_t n,
    const double *sums, struct mega_grads *g)
{
    double d_pbeta = sums[0], dq = sums[1], d_gamma = sums[2];
    double dp = d_pbeta * k->beta - dq * k->a, da = -dq * k->p;
    const struct mega_call *c = w->c;
    int64_t N = c->in[DELTA]->dim[1], flat = w->row * N + n;
    int64_t width = mega_width(c->in[DELTA]), width_gamma = mega_width(c->in[GAMMA]);
    mega_grad_add(g, DELTA, flat / width, flat % width, dp * k->p * (1 - k->p));
    mega_grad_add(g, ALPHA, flat / width, flat % width, da * k->a * (1 - k->a));
    mega_grad_add(g, BETA, flat / width, flat % width, d_pbeta * k->p);
    mega_grad_add(
        g, GAMMA, flat / width_gamma, flat % width_gamma, d_gamma * sqrt(1 / (double)N));
}

/* G[i] = q G[i+1] + gamma du[i] against the walk; everything follows from G, h and x */
static void filter_backward(
    const struct walk *w, struct room *room, const double *du, struct mega_grads *g)
{
    const struct mega_call *c = w->c;
    int64_t last = mega_rows_len(c->rows, w->b) - 1;
    for (int64_t n = 0; n < c->in[DELTA]->dim[1]; n++) {
        struct coefficients k = coefficients_of(w, n);
        states(w, &k, n, room->h, room->start);
        double sums[3] = { 0 }, dw = 0, after = 0;
        double d_state =
            g->out[1] ? mega_get(g->out[1], w->b * g->out[1]->dim[1] + w->d, n) : 0;
        for (int64_t i = w->T - 1; i >= 0; i--) {
            double G = k.q * after + k.gamma * du[place(w, i)] + (i == last ? d_state : 0);
            double before = room->start[i] == i && (i > 0 || begins(w, 0)) ? 0
                            : i                                            ? room->h[i - 1]
                                                                           : first_state(w, n);
            room->g[i] = G;
            sums[0] += G * intake(w, &k, i, room->start[i]);
            sums[1] += G * before;
            sums[2] += du[place(w, i)] * room->h[i];
            if (w->taps && i - w->taps >= room->start[i])
                dw -= G * k.p * k.beta * input(w, i - w->taps);
            after = begins(w, i) ? 0 : G;
        }
        if (w->taps) sums[1] += dw * (double)w->taps * k.w / k.q;
        coefficient_gradients(w, &k, n, sums, g);
        for (int64_t i = 0; i < w->T; i++) {
            double dx = room->g[i];
            if (w->taps && i + w->taps < w->T && room->start[i + w->taps] <= i)
                dx -= k.w * room->g[i + w->taps];
            room->dx[place(w, i)] += k.p * k.beta * dx;
        }
        if (takes_state(w)) {
            double from = w->T > 0 ? k.q * after : 0;
            mega_grad_add(
                g, H, w->b * c->in[H]->dim[1] + w->d, n, last < 0 ? from + d_state : from);
        }
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_ema *a = c->attr;
    struct room room = room_of(c);
    int64_t B = c->in[X]->dim[0], T = c->in[X]->dim[1], D = c->in[X]->dim[2];
    double *du = mega_scratch(c->work, (size_t)(T + 1) * sizeof *du);
    mega_grads_begin(g);
    for (int64_t b = 0; b < B; b++)
        for (int64_t d = 0; d < D; d++) {
            double d_omega = 0;
            raw(c, b, d, &room);
            for (int64_t t = 0; t < T; t++) {
                double x = mega_get(c->in[X], b * T + t, d), u = room.y[t] + omega(c, d) * x;
                du[t] = mega_grad_out(g, 0, b * T + t, d) * mega_act_slope(act_of(c), u);
                d_omega += du[t] * x;
                room.dx[t] = 0;
            }
            for (int direction = 0; direction <= a->two_way; direction++) {
                struct walk w = walk_of(c, b, d, direction);
                filter_backward(&w, &room, du, g);
            }
            mega_grad_add(g, OMEGA, 0, d, d_omega);
            for (int64_t t = 0; t < T; t++) {
                double through = mega_rows_real(c->rows, b, t) ? room.dx[t] : 0;
                mega_grad_add(g, X, b * T + t, d, through + omega(c, d) * du[t]);
            }
        }
}

const struct mega_op mega_op_ema = {
    .name = "ema",
    .n_in = 7,
    .n_out = 2,
    .optional = 1u << OMEGA | 1u << H,
    .attr_size = sizeof(struct mega_attr_ema),
    .shape = shape,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
