/* The complex EMA kernel, backward.
 *
 * The gradient of x is the filter mirrored, with the same real taps, of dy, plus omega dy. The
 * walk is that of the mirrored filter, whose state is P = sum_i q^i dy at the places behind the
 * tile. The coefficients' gradients follow from two complex sums for each state,
 *
 *   S0 = sum_t x[t] Q[t],   S1 = dS0/dq,   Q[t] = sum_{i >= t} q^(i-t) dy[i]
 *
 * taken together from pairs (t, i) inside a tile, by their distance, and from tile to tile:
 *
 *   S0 = sum_k q^k lag[k] + sum_tiles q P Z,   lag[k] = sum x[t] dy[t+k],   Z = sum_j q^j x[j]
 *
 * (j counts along the walk). Slopes by q are carried along with P and Z. The gradient of the
 * state that went out is walked on its own: it enters at the last real place, does not pass g,
 * and leads nowhere but into p, q and the state that came in. */
#include "kernel/cpu/isa/cema.h"

#include "kernel/cpu/isa/cema_filter.h"

enum { X = MEGA_CEMA_X, ALPHA, DELTA, THETA, GAMMA, OMEGA, H };
enum { COEFFICIENTS = 4 }; /* of a state, in a part: alpha, delta, gamma's two */

/* a polynomial in q, and its derivative */
struct jet {
    struct pair value, slope;
};

/* gathered for one state: P; S0 and S1 */
struct sums {
    struct jet p, s;
};

/* The call, and each lane's part of the sums over all rows: [B + 1, blocks, part], a part being
 * [N, COEFFICIENTS, WIDTH], theta's [WIDTH], omega's [WIDTH]; row 0 receives the totals. */
struct pass {
    const struct mega_call *c;
    struct mega_grads *g;
    float *parts;
};

/* One walk against the filter. */
struct sweep {
    const struct pass *pass;
    struct block b;
    struct walk w; /* mirrored */
    struct turns_of_block f;
    struct strip x, dy, dx; /* row NULL: nothing arrived; not wanted */
    bool seeded;            /* of the gradient of the state that went out */
    bool adds;              /* to dx */
    vec omega[COLUMNS], d_omega[COLUMNS];
    struct sums *sums[COLUMNS];
    columns lag; /* lag[k] at STEPS-1-k */
};

/* ---- one tile ---- */

/* x [steps] in the order of the walk, and each times its place */
struct numbers {
    vec x[STEPS], weighed[STEPS];
};

static inline void weigh(struct numbers *a)
{
    EACH(i, 0, STEPS) a->weighed[i] = (float)i * a->x[i];
}

/* sum_j q^j x[j] and its slope */
VEC_INLINE struct jet sum_powers(int steps, const struct turn *k, const struct numbers *a)
{
    struct jet j = { { a->x[0], vec_all(0) }, pair_zero() };
    if (steps > 1) j.slope.re = a->weighed[1];
    for (int i = 1; i < steps; i++) {
        j.value.re += k->pow[i - 1].re * a->x[i];
        j.value.im += k->pow[i - 1].im * a->x[i];
        if (i + 1 == steps) break;
        j.slope.re += k->pow[i - 1].re * a->weighed[i + 1];
        j.slope.im += k->pow[i - 1].im * a->weighed[i + 1];
    }
    return j;
}

/* S over the pairs that the tile's x makes with what lies behind it, then P over the tile */
VEC_INLINE void gather_by(int steps, struct sweep *r, int v, const struct numbers *x,
    const struct numbers *reversed_dy)
{
    for (int n = 0; n < r->f.N; n++) {
        struct turn *k = &r->f.turn[v][n];
        struct jet *p = &r->sums[v][n].p, *s = &r->sums[v][n].s;
        struct pair q = k->pow[0];
        struct jet z = sum_powers(steps, k, x), in = sum_powers(steps, k, reversed_dy);
        struct pair qz = pair_times(q, z.value);
        s->value = pair_add(s->value, pair_times(qz, p->value));
        s->slope = pair_add(s->slope, pair_times(qz, p->slope));
        s->slope =
            pair_add(s->slope, pair_times(pair_add(z.value, pair_times(q, z.slope)), p->value));

        struct pair drop = drop_of(k, steps), slope = { vec_all(1), vec_all(0) };
        if (steps > 1) slope = pair_scale(vec_all((float)steps), k->pow[steps - 2]);
        struct pair lost = pair_times(drop, p->slope), more = pair_times(slope, p->value);
        p->slope.re += in.slope.re + more.re - lost.re;
        p->slope.im += in.slope.im + more.im - lost.im;
        lost = pair_times(drop, p->value);
        p->value.re += in.value.re - lost.re;
        p->value.im += in.value.im - lost.im;
        k->share = pair_times(k->out, p->value);
    }
}

static void gather(int steps, struct sweep *r, int v, const struct numbers *x,
    const struct numbers *reversed_dy)
{
    if (steps == STEPS)
        gather_by(STEPS, r, v, x, reversed_dy);
    else
        gather_by(steps, r, v, x, reversed_dy);
}

/* lag[STEPS-1-k] += sum_i dy[i-k] x[i], both in the order of the walk */
static inline void correlate(const vec *dy, const vec *x, vec *lag)
{
    vec reversed[STEPS], sum[STEPS];
    EACH(i, 0, STEPS)
    {
        reversed[i] = x[STEPS - 1 - i];
        sum[i] = lag[i];
    }
    convolve(dy, reversed, sum);
    EACH(i, 0, STEPS) lag[i] = sum[i];
}

/* what the filter gives to dx, and what the tile tells about the coefficients */
static void column(struct sweep *r, int v, int steps, const vec *x, const vec *dy, vec *dx)
{
    struct numbers forward, backward;
    vec sum = vec_all(0), omega = r->omega[v];
    EACH(i, 0, STEPS)
    {
        forward.x[i] = x[i];
        backward.x[i] = vec_all(0);
        dx[i] += omega * dy[i];
        sum += dy[i] * x[i];
    }
    r->d_omega[v] += sum;
    for (int i = 0; i < steps; i++) backward.x[i] = dy[steps - 1 - i];
    weigh(&forward);
    weigh(&backward);
    filter_turns(&r->f, v, dy, dx);
    correlate(dy, x, r->lag[v]);
    gather(steps, r, v, &forward, &backward);
}

/* `first`: the tile's first step of the walk */
static void tile(struct sweep *r, int64_t first, int steps)
{
    columns x, dy, dx;
    load_tile(&r->w, &r->x, first, first, steps, x);
    if (r->dy.row)
        load_tile(&r->w, &r->dy, first, first, steps, dy);
    else
        clear_tile(dy);
    if (r->dx.row && r->adds)
        load_tile(&r->w, &r->dx, first, first, steps, dx);
    else
        clear_tile(dx);
    for (int v = 0; v < COLUMNS; v++) column(r, v, steps, x[v], dy[v], dx[v]);
    if (r->dx.row) store_tile(&r->w, &r->dx, first, steps, dx);
}

/* ---- the walk ---- */

static void clear_sums(struct sweep *r)
{
    for (int v = 0; v < COLUMNS; v++) {
        clear_turns(&r->f, v);
        for (int n = 0; n < r->f.N; n++)
            r->sums[v][n].p = (struct jet){ pair_zero(), pair_zero() };
    }
}

/* Moves back to the span that ends before s->from; its fresh says that a document begins with
 * it or between it and the row's start or the real place before. False at the row's start, with
 * fresh for the places up to there. */
static bool span_before(const struct mega_rows *rows, int64_t b, struct span *s)
{
    int64_t t = s->from;
    s->fresh = false;
    if (!rows->real && !rows->doc) {
        *s = (struct span){ 0, t, false };
        return t > 0;
    }
    while (t > 0 && !mega_rows_real(rows, b, t - 1)) s->fresh |= begins_at(rows, b, --t);
    s->to = s->from = t;
    if (t == 0) return false;
    do s->from--;
    while (s->from > 0 && mega_rows_real(rows, b, s->from - 1) && !begins_at(rows, b, s->from));
    return true;
}

/* places that are not real */
static void clear_places(const struct sweep *r, int64_t from, int64_t to)
{
    if (r->dx.row && !r->adds) clear_strip(&r->dx, from, to);
}

/* the places before `end`, the last one first; P is then what reaches the row's start */
static void walk(struct sweep *r, int64_t end)
{
    struct span s = { end, end, false };
    while (span_before(r->w.rows, r->b.b, &s)) {
        int64_t last = r->w.T - s.from;
        /* a document that began behind this span, or with the one after it */
        if (s.fresh || begins_at(r->w.rows, r->b.b, end)) clear_sums(r);
        clear_places(r, s.to, end);
        for (int64_t step = r->w.T - s.to; step < last; step += STEPS)
            tile(r, step, last - step < STEPS ? (int)(last - step) : STEPS);
        end = s.from;
    }
    if (s.fresh || begins_at(r->w.rows, r->b.b, end)) clear_sums(r);
    clear_places(r, 0, end);
}

/* ---- gradients of the coefficients ---- */

static int64_t part_size(const struct mega_call *c)
{
    return (c->in[ALPHA]->dim[1] * COEFFICIENTS + 2) * WIDTH;
}

static float *part_of(const struct pass *p, int64_t row, int64_t block)
{
    return p->parts + (row * blocks_across(p->c) + block) * part_size(p->c);
}

static void add_to(float *sum, vec by)
{
    vec_store(sum, vec_load(sum) + by);
}

/* what the sums of a state say: p' for p, and q', g' whose conjugates are the gradients */
struct verdict {
    vec p;
    struct pair q, g;
};

static struct verdict judge(const struct sweep *r, int v, int n)
{
    const struct turn *k = &r->f.turn[v][n];
    const struct sums *sums = &r->sums[v][n];
    struct numbers lag;
    EACH(i, 0, STEPS) lag.x[i] = r->lag[v][STEPS - 1 - i];
    weigh(&lag);
    struct jet s = sum_powers(STEPS, k, &lag);
    s.value = pair_add(s.value, sums->s.value);
    s.slope = pair_add(s.slope, sums->s.slope);
    struct pair one = { vec_all(1), vec_all(0) }, weight = r->seeded ? one : k->g;
    struct verdict j = { .p = pair_times(weight, s.value).re,
        .q = pair_scale(k->p, pair_times(weight, s.slope)),
        .g = r->seeded ? pair_zero() : pair_scale(k->p, s.value) };
    if (!takes_state(&r->b)) return j;
    struct pair h = load_state(&r->b, r->b.c->in[H], v, n), q = k->pow[0];
    struct pair reaching = pair_times(q, sums->p.value);
    struct pair slope = pair_add(sums->p.value, pair_times(q, sums->p.slope));
    j.q = pair_add(j.q, pair_times(weight, pair_times(h, slope)));
    if (!r->seeded) j.g = pair_add(j.g, pair_times(h, reaching));
    mega_tensor *dh = r->pass->g->in[H];
    if (dh) give_state(&r->b, dh, v, n, pair_conj(pair_times(weight, reaching)), true);
    return j;
}

/* from p, q, g to alpha, delta, gamma; returns the share of theta, but for its sigmoid's slope
 */
static vec credit(const struct sweep *r, int v, int n, float *part)
{
    const struct turn *k = &r->f.turn[v][n];
    struct verdict j = judge(r, v, n);
    struct pair turned = pair_times(k->way, j.q);
    float *sum = part + n * COEFFICIENTS * WIDTH + v * VEC, N = (float)r->f.N,
          speed = 6.28318530717958648f * (float)(n + 1) / N, scale = sqrtf(1 / N);
    add_to(sum, (j.p - k->e * turned.re) * k->p * (1.0f - k->p));
    add_to(sum + WIDTH, -k->p * turned.re * k->e * (1.0f - k->e));
    add_to(sum + 2 * WIDTH, scale * j.g.re);
    add_to(sum + 3 * WIDTH, -scale * j.g.im);
    return -(1.0f - k->p * k->e) * turned.im * speed;
}

static void credit_all(const struct sweep *r, float *part)
{
    float *theta = part + part_size(r->b.c) - 2 * WIDTH;
    for (int v = 0; v < COLUMNS; v++) {
        vec sum = vec_all(0), s = r->f.s[v];
        for (int n = 0; n < r->f.N; n++) sum += credit(r, v, n, part);
        add_to(theta + v * VEC, sum * s * (1.0f - s));
        add_to(theta + WIDTH + v * VEC, r->d_omega[v]);
    }
}

/* ---- one lane ---- */

static void open_sweep(struct sweep *r, struct mega_arena *scratch)
{
    r->f = turns_of_block(&r->b, scratch);
    for (int v = 0; v < COLUMNS; v++) {
        r->sums[v] = mega_arena_zeroed(scratch, (size_t)r->f.N * sizeof(struct sums));
        r->d_omega[v] = vec_all(0);
        r->omega[v] = load_omega(&r->b, v);
    }
    memset(&r->lag, 0, sizeof r->lag);
}

/* the gradient of the state that went out, and its first step: at the last real place it goes
 * into x alone */
static void seed(struct sweep *r, int v, int n, vec x, vec *dx)
{
    struct turn *k = &r->f.turn[v][n];
    struct sums *sums = &r->sums[v][n];
    struct pair in = pair_conj(load_state(&r->b, r->pass->g->out[1], v, n));
    k->out = (struct pair){ k->p, vec_all(0) };
    sums->p.value = in;
    k->share = pair_times(k->out, in);
    sums->s.value = pair_scale(x, in);
    *dx += k->share.re;
}

/* the last real place from which the state went out as it is; -1: none */
static int64_t last_place(const struct sweep *r)
{
    int64_t t = mega_rows_len(r->w.rows, r->b.b);
    while (t > 0 && !mega_rows_real(r->w.rows, r->b.b, t - 1)) {
        if (begins_at(r->w.rows, r->b.b, t - 1)) return -1;
        t--;
    }
    return t - 1;
}

/* a state that nothing was added to */
static void pass_state(struct sweep *r)
{
    const struct mega_rows *rows = r->w.rows;
    mega_tensor *dh = r->pass->g->in[H];
    for (int64_t t = 0; t < mega_rows_len(rows, r->b.b); t++)
        if (begins_at(rows, r->b.b, t)) return;
    if (!dh || !takes_state(&r->b)) return;
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < r->f.N; n++)
            give_state(&r->b, dh, v, n, load_state(&r->b, r->pass->g->out[1], v, n), true);
}

static void sweep_state(struct sweep *r, float *part, struct mega_arena *scratch)
{
    int64_t last = last_place(r);
    columns x, dx;
    r->seeded = r->adds = true;
    r->dy.row = NULL;
    open_sweep(r, scratch);
    if (last < 0) {
        pass_state(r);
        return;
    }
    int64_t step = r->w.T - 1 - last;
    load_tile(&r->w, &r->x, step, step, 1, x);
    if (r->dx.row)
        load_tile(&r->w, &r->dx, step, step, 1, dx);
    else
        clear_tile(dx);
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < r->f.N; n++) seed(r, v, n, x[v][0], &dx[v][0]);
    if (r->dx.row) store_tile(&r->w, &r->dx, step, 1, dx);
    walk(r, last);
    credit_all(r, part);
}

static void clear_state(const struct block *b, mega_tensor *h)
{
    int64_t each = h->dim[2] * 2;
    memset(cema_state_at(b, h, 0, 0), 0, (size_t)(b->width * each) * sizeof(float));
}

static struct strip strip_or_none(const struct block *b, const mega_tensor *t)
{
    return t ? strip_of(b, t) : (struct strip){ 0 };
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct pass *pass = arg;
    const struct mega_call *c = pass->c;
    struct block b = block_of(c, i);
    struct sweep r = { .pass = pass,
        .b = b,
        .w = { c->rows, b.b, c->in[X]->dim[1], true, 0 },
        .x = strip_of(&b, c->in[X]),
        .dy = strip_or_none(&b, pass->g->out[0]),
        .dx = strip_or_none(&b, pass->g->in[X]),
        .adds = pass->g->add >> X & 1 };
    float *part = part_of(pass, b.b + 1, b.channel / WIDTH);
    memset(part, 0, (size_t)part_size(c) * sizeof *part);
    mega_tensor *dh = pass->g->in[H];
    if (dh && !(pass->g->add >> H & 1)) clear_state(&b, dh);
    open_sweep(&r, scratch);
    walk(&r, mega_rows_len(c->rows, b.b));
    clear_places(&r, mega_rows_len(c->rows, b.b), r.w.T);
    credit_all(&r, part);
    if (pass->g->out[1]) sweep_state(&r, part, scratch);
}

/* ---- the sums over rows ---- */

static void give(float *to, float value, bool add)
{
    *to = add ? *to + value : value;
}

/* number d * each + k of a parameter's gradient, for the channels of a block */
static void give_all(const struct pass *p, const struct block *b, int input, int64_t each,
    int64_t k, const float *sum)
{
    mega_tensor *g = p->g->in[input];
    for (int i = 0; g && i < b->width; i++)
        give((float *)g->data + (b->channel + i) * each + k, sum[i], p->g->add >> input & 1);
}

static void total(void *arg, int64_t block, struct mega_arena *scratch)
{
    (void)scratch;
    const struct pass *pass = arg;
    const struct mega_call *c = pass->c;
    int64_t N = c->in[ALPHA]->dim[1], size = part_size(c);
    struct block b = block_at(c, 0, block);
    float *sum = part_of(pass, 0, block);
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (int64_t row = 1; row <= c->in[X]->dim[0]; row++) {
        const float *part = part_of(pass, row, block);
        for (int64_t i = 0; i < size; i++) sum[i] += part[i];
    }
    for (int64_t n = 0; n < N; n++) {
        const float *of_state = sum + n * COEFFICIENTS * WIDTH;
        give_all(pass, &b, ALPHA, N, n, of_state);
        give_all(pass, &b, DELTA, N, n, of_state + WIDTH);
        give_all(pass, &b, GAMMA, 2 * N, 2 * n, of_state + 2 * WIDTH);
        give_all(pass, &b, GAMMA, 2 * N, 2 * n + 1, of_state + 3 * WIDTH);
    }
    give_all(pass, &b, THETA, 1, 0, sum + size - 2 * WIDTH);
    give_all(pass, &b, OMEGA, 1, 0, sum + size - WIDTH);
}

void MEGA_ISA_NAME(mega_cema_backward)(const struct mega_call *c, struct mega_grads *g)
{
    int64_t B = c->in[X]->dim[0], blocks = blocks_across(c);
    struct pass pass = { c, g, NULL };
    pass.parts =
        mega_scratch(c->work, (size_t)((B + 1) * blocks * part_size(c)) * sizeof(float));
    double flops, bytes;
    mega_op_cost(c, &flops, &bytes);
    mega_lanes(c->work, B * blocks, 3 * flops, lane, &pass);
    mega_lanes(c->work, blocks, (double)((B + 1) * blocks * part_size(c)), total, &pass);
}
