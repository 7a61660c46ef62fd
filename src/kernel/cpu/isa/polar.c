/* polar in float32, angles in double (turns.h). */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/turns.h"
#include "kernel/cpu/vector_math.h"

enum { X = MEGA_POLAR_X, PHASE = MEGA_POLAR_PHASE };

/* What turns the channels of a row: cosines and sines of its position, of the phases. */
struct polar {
    struct turns turns;
    float *cos, *sin;             /* [d] */
    float *phase_cos, *phase_sin; /* [H, d]; NULL: no phase */
    float *inside;                /* [H, d]: 1 where a phase may still move, else 0 */
    int64_t H, d, lead;
};

static struct polar polar_of(const struct mega_call *c, struct mega_arena *scratch)
{
    const struct mega_attr_polar *a = c->attr;
    struct polar p = { .H = a->heads, .d = mega_width(c->in[X]) / a->heads };
    int64_t n = p.H * p.d;
    p.turns = turns_of(scratch, 2 * p.d, a->base, a->factor);
    p.cos = mega_arena_get(scratch, (size_t)(2 * p.d + 3 * n) * sizeof(float) + 1);
    p.sin = p.cos + p.d;
    if (!c->in[PHASE]) return p;
    p.phase_cos = p.sin + p.d;
    p.phase_sin = p.phase_cos + n;
    p.inside = p.phase_sin + n;
    const float *phase = c->in[PHASE]->data, turn = 6.283185307f;
    for (int64_t j = 0; j < n; j++) {
        float held = fminf(fmaxf(phase[j], -turn), 0);
        p.phase_cos[j] = cosf(held);
        p.phase_sin[j] = sinf(held);
        p.inside[j] = held == phase[j];
    }
    return p;
}

static void turn_to(struct polar *p, const struct mega_call *c, int64_t r, bool begins)
{
    const struct mega_rows *rows = c->rows;
    int64_t T = rows->T;
    if (begins || r % T == 0) p->lead = mega_position_lead(rows, r / T);
    turns_to(&p->turns, mega_position(rows, r / T, r % T, p->lead));
    for (int64_t t = 0; t < p->d; t++) {
        p->cos[t] = (float)p->turns.cos[t];
        p->sin[t] = (float)p->turns.sin[t];
    }
}

struct direction {
    vec cos, sin;
};

/* of channels t ... of head h */
VEC_INLINE struct direction direction(const struct polar *p, int64_t h, int64_t t)
{
    int64_t left = p->d - t, at = h * p->d + t;
    struct direction a = { vec_get(p->cos + t, left), vec_get(p->sin + t, left) };
    if (!p->phase_cos) return a;
    vec c = vec_get(p->phase_cos + at, left), s = vec_get(p->phase_sin + at, left);
    return (struct direction){ a.cos * c - a.sin * s, a.sin * c + a.cos * s };
}

/* log(1 + exp(x)) */
VEC_INLINE vec softplus(vec x)
{
    return vec_max(x, vec_all(0)) + vec_log(1.0f + vec_exp(-vec_abs(x)));
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    struct polar p = polar_of(job->c, scratch);
    for (int64_t r = from, d = p.d; r < to; r++) {
        const float *x = row_of(job->c->in[X], r);
        float *y = row_of(job->c->out[0], r);
        turn_to(&p, job->c, r, r == from);
        for (int64_t h = 0; h < p.H; h++, x += d, y += 2 * d)
            for (int64_t t = 0; t < d; t += VEC) {
                vec radius = softplus(vec_get(x + t, d - t));
                struct direction a = direction(&p, h, t);
                vec_put(y + t, radius * a.cos, d - t);
                vec_put(y + d + t, radius * a.sin, d - t);
            }
    }
}

/* sums: d phase */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    struct polar p = polar_of(job->c, scratch);
    bool add = row_adds(job, X);
    for (int64_t r = from, d = p.d; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, X, r);
        turn_to(&p, job->c, r, r == from);
        for (int64_t h = 0; h < p.H; h++, dy += 2 * d)
            for (int64_t t = 0, at = h * d; t < d; t += VEC) {
                vec v = vec_get(x + at + t, d - t), by_cos = vec_get(dy + t, d - t),
                    by_sin = vec_get(dy + d + t, d - t);
                struct direction a = direction(&p, h, t);
                if (dx)
                    vec_give(dx + at + t, vec_sigmoid(v) * (by_cos * a.cos + by_sin * a.sin),
                        add, d - t);
                if (p.inside)
                    vec_add_to(sums + at + t,
                        vec_get(p.inside + at + t, d - t) * softplus(v) *
                            (by_sin * a.cos - by_cos * a.sin),
                        d - t);
            }
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 10);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some_back);
    row_groups(&job, job.width, 14);
    give_sums(&job, PHASE, job.sums, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_polar) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
