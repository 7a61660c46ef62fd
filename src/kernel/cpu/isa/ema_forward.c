/* The EMA kernel, forward: a lane is a block of channels of one row. Of a two-way filter the
 * mirrored half comes first and leaves its y in scratch memory. */
#include "kernel/cpu/isa/ema.h"

#include "kernel/cpu/isa/ema_filter.h"

enum { X = MEGA_EMA_X, H = MEGA_EMA_H };

/* sum_j q^(steps-1-j) x[j] for GROUP states */
VEC_INLINE void gather(const struct state *k, const vec *x, int steps, vec sum[GROUP])
{
    EACH(n, 0, GROUP) sum[n] = x[0];
    for (int i = 1; i < steps; i++) EACH(n, 0, GROUP) sum[n] = sum[n] * k[n].q + x[i];
}

VEC_INLINE void advance_by(
    int steps, const struct filter *f, int v, const vec *x, const vec *late)
{
    for (int first = 0; first < f->N; first += GROUP) {
        struct state *k = f->state[v] + first;
        vec in[GROUP], gone[GROUP];
        gather(k, x, steps, in);
        if (late) {
            gather(k, late, steps, gone);
            EACH(n, 0, GROUP) in[n] -= k[n].late * gone[n];
        }
        EACH(n, 0, GROUP)
        {
            vec drop = steps == STEPS ? k[n].drop : 1.0f - k[n].pow[steps - 1];
            k[n].s += in[n] - drop * k[n].s;
            k[n].share = k[n].out * k[n].s;
        }
    }
}

/* Takes the states over a tile. */
static void advance(int steps, const struct filter *f, int v, const vec *x, const vec *late)
{
    if (steps == STEPS)
        advance_by(STEPS, f, v, x, late);
    else
        advance_by(steps, f, v, x, late);
}

static void take_states(const struct block *b, const struct filter *f)
{
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < f->N; n++) {
            struct state *k = &f->state[v][n];
            k->s = load_state(b, b->c->in[H], v, n) / k->scale;
            k->share = k->out * k->s;
        }
}

static void give_states(const struct block *b, const struct filter *f, int v)
{
    mega_tensor *h = b->c->out[1];
    for (int n = 0; n < f->N; n++) {
        vec state = f->state[v][n].s * f->state[v][n].scale;
        for (int i = 0; i < channels_in(b, v); i++)
            state_at(b, h, v, n)[i * h->stride] = state[i];
    }
}

/* y += omega x */
static void add_omega(const struct block *b, columns x, columns y)
{
    for (int v = 0; v < COLUMNS; v++) {
        vec omega = load_omega(b, v);
        for (int i = 0; i < STEPS; i++) y[v][i] += omega * x[v][i];
    }
}

/* One direction of the filter along one row. */
struct run {
    struct block b;
    struct walk w;
    struct filter f;
    struct strip x, kept, out; /* kept.row NULL: no silu, or nothing to go back from */
    const struct strip *other; /* y of the other direction; NULL: there is none */
};

static void run_column(
    struct run *r, const struct tile *t, int v, const vec *x, const vec *late, vec *y)
{
    if (t->fresh) clear_states(&r->f, v);
    filter_tile(&r->f, v, x, late, y);
    advance(t->steps, &r->f, v, x, late);
    if (r->b.c->out[1] && t->first + t->steps == r->w.stop) give_states(&r->b, &r->f, v);
}

/* in a function of its own the constants stay in registers */
static __attribute__((noinline)) void silu(vec *u, int n)
{
    for (int i = 0; i < n; i++) u[i] = vec_silu(u[i]);
}

/* from u = y + omega x to the output */
static void finish(const struct run *r, const struct tile *t, columns u)
{
    if (r->kept.row) store_tile(&r->w, &r->kept, t->first, t->steps, u);
    if (does_silu(r->b.c)) silu(u[0], COLUMNS * STEPS);
    store_tile(&r->w, &r->out, t->first, t->steps, u);
}

static void run_tile(struct run *r, const struct tile *t)
{
    columns x, late, y;
    bool has_late = reaches_back(&r->f, t);
    load_tile(&r->w, &r->x, t->first, t->first, t->steps, x);
    if (r->other && !r->w.mirrored)
        load_tile(&r->w, r->other, t->first, t->first, t->steps, y);
    else
        clear_tile(y);
    if (!r->w.mirrored) add_omega(&r->b, x, y);
    mask_tile(&r->w, t->first, t->first, t->steps, x);
    if (has_late) {
        load_tile(&r->w, &r->x, t->first - r->f.M, t->from, t->steps, late);
        mask_tile(&r->w, t->first - r->f.M, t->from, t->steps, late);
    }
    for (int v = 0; v < COLUMNS; v++)
        run_column(r, t, v, x[v], has_late ? late[v] : NULL, y[v]);
    if (r->w.mirrored)
        store_tile(&r->w, r->other, t->first, t->steps, y);
    else
        finish(r, t, y);
}

/* One direction of the filter: into `other`, or with what lies there to the output. */
static void run_row(
    const struct block *b, bool mirrored, const struct strip *other, struct mega_arena *scratch)
{
    const struct mega_call *c = b->c;
    struct run r = { .b = *b,
        .w = { c->rows, b->b, c->in[X]->dim[1], mirrored, 0 },
        .f = filter_of(b, mirrored, scratch),
        .x = strip_of(b, c->in[X]),
        .out = strip_of(b, c->out[0]),
        .other = other };
    if (c->saved[0]) r.kept = strip_of(b, c->saved[0]);
    if (c->out[1]) r.w.stop = mega_rows_len(c->rows, b->b);
    if (takes_state(b)) take_states(b, &r.f);
    if (c->out[1] && r.w.stop == 0)
        for (int v = 0; v < COLUMNS; v++) give_states(b, &r.f, v);
    for (struct tile t = { 0 }; next_tile(&r.w, &t);) run_tile(&r, &t);
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct mega_call *c = arg;
    const struct mega_attr_ema *attr = c->attr;
    struct block b = block_of(c, i);
    if (attr->two_way) {
        struct strip other = scratch_strip(scratch, c->in[X]->dim[1]);
        run_row(&b, true, &other, scratch);
        run_row(&b, false, &other, scratch);
    } else {
        run_row(&b, false, NULL, scratch);
    }
}

static void forward(const struct mega_call *c)
{
    double flops, bytes;
    mega_op_cost(c, &flops, &bytes);
    mega_lanes(c->work, c->in[X]->dim[0] * blocks_across(c), flops, lane, (void *)c);
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    if (does_silu(c)) saved[0] = mega_like(c->in[X], MEGA_F32);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    return types_accepted(c, why);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_ema) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_ema_backward) };
