/* The complex EMA kernel, forward: a lane is a block of channels of one row. Nothing is kept.
 */
#include "kernel/cpu/isa/cema.h"

#include "kernel/cpu/isa/cema_filter.h"

enum { X = MEGA_CEMA_X, H = MEGA_CEMA_H };

/* takes the states over a tile */
VEC_INLINE void advance_by(int steps, const struct turns_of_block *f, int v, const vec *x)
{
    for (int n = 0; n < f->N; n++) {
        struct turn *k = &f->turn[v][n];
        struct pair in = { x[steps - 1], vec_all(0) }, drop = drop_of(k, steps);
        for (int i = 1; i < steps; i++) {
            in.re += k->pow[i - 1].re * x[steps - 1 - i];
            in.im += k->pow[i - 1].im * x[steps - 1 - i];
        }
        struct pair lost = pair_times(drop, k->s);
        k->s.re += in.re - lost.re;
        k->s.im += in.im - lost.im;
        k->share = pair_times(k->out, k->s);
    }
}

static void advance(int steps, const struct turns_of_block *f, int v, const vec *x)
{
    if (steps == STEPS)
        advance_by(STEPS, f, v, x);
    else
        advance_by(steps, f, v, x);
}

static void take_states(const struct block *b, const struct turns_of_block *f)
{
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < f->N; n++) {
            struct turn *k = &f->turn[v][n];
            k->s = pair_scale(1.0f / k->p, load_state(b, b->c->in[H], v, n));
            k->share = pair_times(k->out, k->s);
        }
}

static void give_states(const struct block *b, const struct turns_of_block *f)
{
    for (int v = 0; v < COLUMNS; v++)
        for (int n = 0; n < f->N; n++)
            give_state(
                b, b->c->out[1], v, n, pair_scale(f->turn[v][n].p, f->turn[v][n].s), false);
}

static void clear_all(struct turns_of_block *f)
{
    for (int v = 0; v < COLUMNS; v++) clear_turns(f, v);
}

struct run {
    struct block b;
    struct walk w;
    struct turns_of_block f;
    struct strip x, y;
    vec omega[COLUMNS];
};

static void run_tile(struct run *r, int64_t first, int steps)
{
    columns x, y;
    load_tile(&r->w, &r->x, first, first, steps, x);
    for (int v = 0; v < COLUMNS; v++) {
        EACH(i, 0, STEPS) y[v][i] = r->omega[v] * x[v][i];
        filter_turns(&r->f, v, x[v], y[v]);
        advance(steps, &r->f, v, x[v]);
    }
    store_tile(&r->w, &r->y, first, steps, y);
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct mega_call *c = arg;
    struct block b = block_of(c, i);
    struct run r = { .b = b,
        .w = { c->rows, b.b, c->in[X]->dim[1], false, 0 },
        .f = turns_of_block(&b, scratch),
        .x = strip_of(&b, c->in[X]),
        .y = strip_of(&b, c->out[0]) };
    for (int v = 0; v < COLUMNS; v++) r.omega[v] = load_omega(&b, v);
    if (takes_state(&b)) take_states(&b, &r.f);
    int64_t done = 0;
    struct span s = { 0 };
    for (; next_span(c->rows, b.b, &s); done = s.to) {
        clear_strip(&r.y, done, s.from); /* places that are not real give 0 */
        if (s.fresh) clear_all(&r.f);
        for (int64_t t = s.from; t < s.to; t += STEPS)
            run_tile(&r, t, s.to - t < STEPS ? (int)(s.to - t) : STEPS);
    }
    clear_strip(&r.y, done, r.w.T);
    if (s.fresh) clear_all(&r.f);
    if (c->out[1]) give_states(&b, &r.f);
}

static void forward(const struct mega_call *c)
{
    double flops, bytes;
    mega_op_cost(c, &flops, &bytes);
    mega_lanes(c->work, c->in[X]->dim[0] * blocks_across(c), flops, lane, (void *)c);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    if (!types_accepted(c, why)) return false;
    *why = "takes dense parameters only";
    for (int i = MEGA_CEMA_ALPHA; i < MEGA_IN; i++)
        if (c->in[i] && !mega_is_dense(c->in[i])) return false;
    return true;
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_cema) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_cema_backward) };
