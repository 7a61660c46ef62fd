/* The EMA kernel, backward.
 *
 * With du the gradient of u = y + omega x, that of x is the mirrored filter of du, plus omega
 * du. The walk is that of the mirrored filter, whose state is P = sum_i q^i du at the places
 * behind the tile. The coefficients' gradients follow from two sums for each state,
 *
 *   S0 = sum_t x[t] G[t],   S1 = dS0/dq,   G[t] = sum_{i >= t} q^(i-t) du[i]
 *
 * taken together from pairs (t, i) inside a tile, by their distance, and from tile to tile:
 *
 *   S0 = sum_k q^k lag[k] + sum_tiles q P Z,   lag[k] = sum x[t] du[t+k],   Z = sum_j q^j x[j]
 *
 * (j counts along the walk). Slopes by q are carried along with P and Z. */
#include "kernel/cpu/isa/ema.h"

#include "kernel/cpu/isa/ema_filter.h"

enum { X = MEGA_EMA_X, DELTA, ALPHA, BETA, GAMMA, OMEGA, H };
enum { COEFFICIENTS = 4 }; /* DELTA ... GAMMA */

/* A polynomial in q, and its derivative. */
struct jet {
    vec value, slope;
};

/* Gathered for one state: P; S0 and S1. */
struct sums {
    struct jet p, s;
};

/* lag[k] at STEPS-1-k: all pairs, and with the other place M steps further on. */
struct lags {
    columns all, late;
};

/* The call, and each lane's part of the sums over all rows: [B + 1, blocks, part], a part
 * being [directions, N, COEFFICIENTS, WIDTH] and omega's [WIDTH]; row 0 receives the totals. */
struct pass {
    const struct mega_call *c;
    struct mega_grads *g;
    float *parts;
};

/* One walk against the filter. The first one of a row reads du, the last one finishes the
 * gradient of x; scratch memory holds du and dx between two walks, and du for taps. */
struct sweep {
    const struct pass *pass;
    struct block b;
    struct walk w;
    struct filter f;
    struct strip x, du, dx;   /* du.row NULL: not kept */
    bool opens, adds, closes; /* reads du; adds to dx; finishes the gradient of x */
    bool seeded; /* starts from the gradient of the state that went out, and takes no du */
    vec d_omega[COLUMNS];
    struct sums *sums[COLUMNS];
    struct lags lags;
};

/* value = sum_i q^(steps-1-i) x[i], for GROUP states */
VEC_INLINE void horner(int steps, const struct state *k, const vec *x, struct jet sum[GROUP])
{
    EACH(n, 0, GROUP) sum[n] = (struct jet){ x[0], vec_all(0) };
    for (int i = 1; i < steps; i++) EACH(n, 0, GROUP)
        {
            sum[n].slope = sum[n].slope * k[n].q + sum[n].value;
            sum[n].value = sum[n].value * k[n].q + x[i];
        }
}

/* P over a tile that brings `in` */
VEC_INLINE void advance_jet(int steps, struct state *k, struct jet *p, struct jet in)
{
    vec drop = steps == STEPS ? k->drop : 1.0f - k->pow[steps - 1];
    vec slope = steps > 1 ? (float)steps * k->pow[steps - 2] : vec_all(1);
    p->slope += in.slope + slope * p->value - drop * p->slope;
    p->value += in.value - drop * p->value;
    k->share = k->out * p->value;
}

/* `reversed`: x from the tile's last step to its first */
VEC_INLINE void gather_by(
    int steps, struct sweep *r, int v, const vec *du, const vec *late, const vec *reversed)
{
    for (int first = 0; first < r->f.N; first += GROUP) {
        struct state *k = r->f.state[v] + first;
        struct sums *sums = r->sums[v] + first;
        struct jet in[GROUP], gone[GROUP], z[GROUP];
        horner(steps, k, reversed, z);
        horner(steps, k, du, in);
        if (late) {
            horner(steps, k, late, gone);
            EACH(n, 0, GROUP)
            {
                in[n].slope -= k[n].late * gone[n].slope + k[n].late_slope * gone[n].value;
                in[n].value -= k[n].late * gone[n].value;
            }
        }
        EACH(n, 0, GROUP)
        {
            struct jet *p = &sums[n].p, *s = &sums[n].s;
            vec qz = k[n].q * z[n].value;
            s->value += qz * p->value;
            s->slope += qz * p->slope + (z[n].value + k[n].q * z[n].slope) * p->value;
            advance_jet(steps, &k[n], p, in[n]);
        }
    }
}

static void gather(
    int steps, struct sweep *r, int v, const vec *du, const vec *late, const vec *reversed)
{
    if (steps == STEPS)
        gather_by(STEPS, r, v, du, late, reversed);
    else
        gather_by(steps, r, v, du, late, reversed);
}

/* lag[STEPS-1-k] += sum_i du[i-k] x[i] */
static inline void correlate(int steps, const vec *du, const vec *reversed, vec *lag)
{
    vec sum[STEPS] = { 0 };
    convolve(du, reversed, sum);
    for (int i = 0; i < steps; i++) lag[STEPS - steps + i] += sum[i];
}

/* du of a tile; adds du x to the gradient of omega */
static void open_tile(struct sweep *r, const struct tile *t, columns reversed, columns du)
{
    const struct mega_call *c = r->b.c;
    const mega_tensor *dy = r->pass->g->out[0];
    if (dy) {
        struct strip from = strip_of(&r->b, dy);
        load_tile(&r->w, &from, t->first, t->first, t->steps, du);
    } else {
        clear_tile(du);
    }
    if (does_silu(c)) {
        struct strip kept = strip_of(&r->b, c->saved[0]);
        columns u;
        load_tile(&r->w, &kept, t->first, t->first, t->steps, u);
        for (int v = 0; v < COLUMNS; v++)
            for (int i = 0; i < STEPS; i++) du[v][i] *= vec_silu_jet(u[v][i]).slope;
    }
    if (c->in[OMEGA]) {
        for (int v = 0; v < COLUMNS; v++) {
            vec sum = vec_all(0);
            for (int i = 0; i < t->steps; i++) sum += du[v][i] * reversed[v][t->steps - 1 - i];
            r->d_omega[v] += sum;
        }
    }
    if (r->du.row) store_tile(&r->w, &r->du, t->first, t->steps, du);
}

/* the gradient of x: what came through the filters, where x is real, and omega du */
static void close_tile(const struct sweep *r, const struct tile *t, columns du, columns dx)
{
    const struct mega_grads *g = r->pass->g;
    if (!g->in[X]) return;
    struct strip to = strip_of(&r->b, g->in[X]);
    mask_tile(&r->w, t->first, t->first, t->steps, dx);
    for (int v = 0; v < COLUMNS; v++) {
        vec omega = load_omega(&r->b, v);
        for (int i = 0; i < STEPS; i++) dx[v][i] += omega * du[v][i];
    }
    if (g->add >> X & 1) {
        columns old;
        load_tile(&r->w, &to, t->first, t->first, t->steps, old);
        for (int v = 0; v < COLUMNS; v++)
            for (int i = 0; i < STEPS; i++) dx[v][i] += old[v][i];
    }
    store_tile(&r->w, &to, t->first, t->steps, dx);
}

static void step(struct sweep *r, const struct tile *t)
{
    columns du, late, reversed, dx;
    struct walk back = r->w;
    back.mirrored = !back.mirrored;
    int64_t last = r->w.T - t->first - t->steps; /* the tile's last step, from the other end */
    load_tile(&back, &r->x, last, last, t->steps, reversed);
    if (r->opens)
        open_tile(r, t, reversed, du);
    else if (r->seeded)
        clear_tile(du);
    else
        load_tile(&r->w, &r->du, t->first, t->first, t->steps, du);
    mask_tile(&back, last, last, t->steps, reversed);
    bool has_late = !r->seeded && reaches_back(&r->f, t);
    if (has_late) load_tile(&r->w, &r->du, t->first - r->f.M, t->from, t->steps, late);
    if (r->adds)
        load_tile(&r->w, &r->dx, t->first, t->first, t->steps, dx);
    else
        clear_tile(dx);
    for (int v = 0; v < COLUMNS; v++) {
        const vec *before = has_late ? late[v] : NULL;
        filter_tile(&r->f, v, du[v], before, dx[v]);
        correlate(t->steps, du[v], reversed[v], r->lags.all[v]);
        if (has_late) correlate(t->steps, before, reversed[v], r->lags.late[v]);
        gather(t->steps, r, v, du[v], before, reversed[v]);
    }
    if (r->closes)
        close_tile(r, t, du, dx);
    else
        store_tile(&r->w, &r->dx, t->first, t->steps, dx);
}

static void clear_sums(struct sweep *r)
{
    for (int v = 0; v < COLUMNS; v++) {
        clear_states(&r->f, v);
        for (int n = 0; n < r->f.N; n++)
            r->sums[v][n].p = (struct jet){ vec_all(0), vec_all(0) };
    }
}

/* walks from step `first` to the end of the row, or of the document if nothing but its seed is
 * to be followed */
static void walk(struct sweep *r, int64_t first)
{
    for (struct tile t = { .first = first }; next_tile(&r->w, &t);) {
        if (t.fresh) clear_sums(r);
        if (t.fresh && r->seeded) return;
        step(r, &t);
    }
}

/* ---- gradients of the coefficients ---- */

static int64_t directions(const struct mega_call *c)
{
    return ((const struct mega_attr_ema *)c->attr)->two_way ? 2 : 1;
}

static int64_t part_size(const struct mega_call *c)
{
    return (directions(c) * c->in[DELTA]->dim[1] * COEFFICIENTS + 1) * WIDTH;
}

static float *part_of(const struct pass *p, int64_t row, int64_t block)
{
    return p->parts + (row * blocks_across(p->c) + block) * part_size(p->c);
}

static void add_to(float *sum, vec by)
{
    vec_store(sum, vec_load(sum) + by);
}

/* S0 and S1 with what the lags hold, for GROUP states */
static void close_sums(const struct sweep *r, int v, int first, struct jet s[GROUP])
{
    const struct state *k = r->f.state[v] + first;
    struct jet all[GROUP], late[GROUP];
    horner(STEPS, k, r->lags.all[v], all);
    horner(STEPS, k, r->lags.late[v], late);
    for (int n = 0; n < GROUP; n++) {
        s[n] = r->sums[v][first + n].s;
        s[n].value += all[n].value - k[n].late * late[n].value;
        s[n].slope +=
            all[n].slope - k[n].late * late[n].slope - k[n].late_slope * late[n].value;
    }
}

/* Adds what the sums of one state say about its coefficients to a part [COEFFICIENTS, WIDTH],
 * and about the state h that came in to dh. */
static void credit(const struct sweep *r, int v, int n, const struct jet *s, float *part)
{
    const struct state *k = &r->f.state[v][n];
    struct jet p = r->sums[v][n].p;
    /* what goes into the state that comes out does not pass gamma */
    vec weight = r->seeded ? vec_all(1) : k->gamma;
    vec d_in = weight * s->value, dq = weight * k->p * k->beta * s->slope;
    vec d_gamma = k->p * k->beta * s->value;
    if (takes_state(&r->b)) {
        vec h = load_state(&r->b, r->b.c->in[H], v, n), reaching = k->q * p.value;
        dq += weight * h * (p.value + k->q * p.slope);
        d_gamma += h * reaching;
        mega_tensor *dh = r->pass->g->in[H];
        if (dh) add_state(&r->b, dh, v, n, weight * reaching);
    }
    float *sum = part + v * VEC;
    add_to(sum, (d_in * k->beta - dq * k->a) * k->p * (1.0f - k->p));
    add_to(sum + WIDTH, -dq * k->p * k->a * (1.0f - k->a));
    add_to(sum + 2 * WIDTH, d_in * k->p);
    if (!r->seeded) add_to(sum + 3 * WIDTH, d_gamma * sqrtf(1 / (float)r->f.N));
}

static void credit_all(const struct sweep *r, float *part)
{
    for (int v = 0; v < COLUMNS; v++)
        for (int first = 0; first < r->f.N; first += GROUP) {
            struct jet s[GROUP];
            close_sums(r, v, first, s);
            for (int n = 0; n < GROUP && first + n < r->f.N; n++)
                credit(r, v, first + n, &s[n], part + (first + n) * COEFFICIENTS * WIDTH);
        }
}

/* The gradient of the state that went out enters at the last place in use, and decays from
 * there. Returns the step that comes next. */
static int64_t enter_state(struct sweep *r)
{
    int64_t last = r->w.T - mega_rows_len(r->w.rows, r->w.b);
    columns x, dx;
    clear_tile(dx);
    load_tile(&r->w, &r->x, last, last, 1, x);
    mask_tile(&r->w, last, last, 1, x);
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < r->f.N; n++) {
            struct state *k = &r->f.state[v][n];
            struct sums *sums = &r->sums[v][n];
            sums->p.value = load_state(&r->b, r->pass->g->out[1], v, n);
            sums->s.value = x[v][0] * sums->p.value;
            k->out = k->p * k->beta;
            k->share = k->out * sums->p.value;
            dx[v][0] += k->share;
        }
    store_tile(&r->w, &r->dx, last, 1, dx);
    return last + 1;
}

/* Walks against the filter of one direction, and credits what it finds. */
static void sweep(struct sweep *r, int direction, float *part, struct mega_arena *scratch)
{
    r->w.mirrored = !direction;
    r->f = filter_of(&r->b, direction, scratch);
    size_t room = (size_t)((r->f.N + GROUP - 1) / GROUP * GROUP) * sizeof(struct sums);
    for (int v = 0; v < COLUMNS; v++) r->sums[v] = mega_arena_zeroed(scratch, room);
    memset(&r->lags, 0, sizeof r->lags);
    if (r->opens && r->f.M && !r->du.row) r->du = scratch_strip(scratch, r->w.T);
    walk(r, r->seeded ? enter_state(r) : 0);
    credit_all(r, part + direction * r->f.N * COEFFICIENTS * WIDTH);
}

/* ---- one lane ---- */

/* the gradient of the state that went out of a row without a place in use */
static void pass_state(const struct block *b, const mega_tensor *from, mega_tensor *to)
{
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < to->dim[2]; n++) add_state(b, to, v, n, load_state(b, from, v, n));
}

static void clear_state(const struct block *b, mega_tensor *h)
{
    for (int i = 0; i < b->width; i++)
        memset(state_at(b, h, 0, 0) + i * h->stride, 0, (size_t)h->dim[2] * sizeof(float));
}

static void sweep_state(struct sweep *r, float *part, struct mega_arena *scratch)
{
    const struct mega_grads *g = r->pass->g;
    if (mega_rows_len(r->w.rows, r->w.b) > 0) {
        r->dx = scratch_strip(scratch, r->w.T);
        memset(r->dx.row, 0, (size_t)r->w.T * WIDTH * sizeof(float));
        r->adds = true;
        r->seeded = true;
        sweep(r, 0, part, scratch);
        r->seeded = false;
    } else if (g->in[H] && takes_state(&r->b)) {
        pass_state(&r->b, g->out[1], g->in[H]);
    }
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct pass *pass = arg;
    const struct mega_call *c = pass->c;
    struct block b = block_of(c, i);
    struct sweep r = { .pass = pass,
        .b = b,
        .w = { c->rows, b.b, c->in[X]->dim[1], false, 0 },
        .x = strip_of(&b, c->in[X]) };
    float *part = part_of(pass, b.b + 1, b.channel / WIDTH);
    memset(part, 0, (size_t)part_size(c) * sizeof *part);
    mega_tensor *dh = pass->g->in[H];
    if (dh && !(pass->g->add >> H & 1)) clear_state(&b, dh);
    if (pass->g->out[1]) sweep_state(&r, part, scratch);
    r.opens = true;
    if (directions(c) == 2) {
        r.du = scratch_strip(scratch, r.w.T);
        r.dx = scratch_strip(scratch, r.w.T);
        sweep(&r, 0, part, scratch);
        r.opens = false;
        r.adds = true;
    }
    r.closes = true;
    sweep(&r, (int)directions(c) - 1, part, scratch);
    for (int v = 0; v < COLUMNS; v++)
        vec_store(part + part_size(c) - WIDTH + v * VEC, r.d_omega[v]);
}

/* ---- the sums over rows ---- */

static void give(float *to, float value, bool add)
{
    *to = add ? *to + value : value;
}

static void total(void *arg, int64_t block, struct mega_arena *scratch)
{
    (void)scratch;
    const struct pass *pass = arg;
    const struct mega_call *c = pass->c;
    int64_t D = c->in[X]->dim[2], N = c->in[DELTA]->dim[1], size = part_size(c);
    struct block b = block_at(c, 0, block);
    float *sum = part_of(pass, 0, block);
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (int64_t row = 1; row <= c->in[X]->dim[0]; row++) {
        const float *part = part_of(pass, row, block);
        for (int64_t i = 0; i < size; i++) sum[i] += part[i];
    }
    for (int input = DELTA; input <= GAMMA; input++)
        for (int64_t k = 0; pass->g->in[input] && k < directions(c) * N; k++) {
            int64_t step;
            float *to = coefficient(pass->g->in[input], k / N * D + b.channel, k % N, &step);
            for (int i = 0; i < b.width; i++)
                give(to + i * step, sum[(k * COEFFICIENTS + input - DELTA) * WIDTH + i],
                    pass->g->add >> input & 1);
        }
    for (int i = 0; pass->g->in[OMEGA] && i < b.width; i++)
        give((float *)pass->g->in[OMEGA]->data + b.channel + i, sum[size - WIDTH + i],
            pass->g->add >> OMEGA & 1);
}

void MEGA_ISA_NAME(mega_ema_backward)(const struct mega_call *c, struct mega_grads *g)
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
