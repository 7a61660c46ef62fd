/* squash in float32: y = factor w f(inside a x + s) + b. */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

enum {
    X = MEGA_SQUASH_X,
    W = MEGA_SQUASH_WEIGHT,
    B = MEGA_SQUASH_BIAS,
    A = MEGA_SQUASH_SLOPE,
    S = MEGA_SQUASH_SHIFT
};

/* what all rows share */
struct shared {
    enum mega_squash_kind kind;
    const float *w, *b;
    bool one; /* a single gain */
    float offset, factor, inside, slope, shift;
};

static struct shared shared_of(const struct row_job *job)
{
    const struct mega_attr_squash *a = job->c->attr;
    mega_tensor *const *in = job->c->in;
    return (struct shared){ a->kind, row_of(in[W], 0), row_of(in[B], 0),
        in[W] && mega_count(in[W]) == 1, a->unit_offset ? 1 : 0, (float)a->factor,
        (float)a->inside, in[A] ? *row_of(in[A], 0) : 1, in[S] ? *row_of(in[S], 0) : 0 };
}

VEC_INLINE vec gain(const struct shared *s, int64_t j, int64_t n)
{
    if (!s->w) return vec_all(s->factor);
    return s->factor * ((s->one ? vec_all(*s->w) : vec_get(s->w + j, n - j)) + s->offset);
}

VEC_INLINE struct vec_jet bent(enum mega_squash_kind kind, vec z)
{
    if (kind == MEGA_SQUASH_TANH) {
        vec t = vec_tanh(z);
        return (struct vec_jet){ t, 1.0f - t * t };
    }
    if (kind == MEGA_SQUASH_ERF)
        return (struct vec_jet){ vec_erf(z), 1.128379167f * vec_exp_down(-z * z) };
    return (struct vec_jet){ z, vec_all(1) };
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct shared s = shared_of(job);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec z = s.inside * s.slope * vec_get(x + j, n - j) + s.shift,
                v = gain(&s, j, n) * bent(s.kind, z).value;
            vec_put(y + j, s.b ? v + vec_get(s.b + j, n - j) : v, n - j);
        }
    }
}

/* sums: d w [n], d b [n], d slope, d shift */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    struct shared s = shared_of(job);
    bool add = row_adds(job, X);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, X, r);
        vec slopes = { 0 }, shifts = { 0 };
        for (int64_t j = 0; j < n; j += VEC) {
            /* beyond the row's end d is 0 */
            vec at = vec_get(x + j, n - j), d = vec_get(dy + j, n - j);
            struct vec_jet f = bent(s.kind, s.inside * s.slope * at + s.shift);
            vec dz = d * gain(&s, j, n) * f.slope;
            vec_add_to(sums + j, s.factor * d * f.value, n - j);
            vec_add_to(sums + n + j, d, n - j);
            slopes += s.inside * dz * at;
            shifts += dz;
            if (dx) vec_give(dx + j, s.inside * s.slope * dz, add, n - j);
        }
        sums[2 * n] += vec_sum(slopes);
        sums[2 * n + 1] += vec_sum(shifts);
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 6);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some_back);
    int64_t n = job.width;
    row_groups(&job, 2 * n + 2, 10);
    if (c->in[W] && mega_count(c->in[W]) == 1) {
        double total = 0;
        for (int64_t j = 0; j < n; j++) total += (double)job.sums[j];
        give_sum(g, W, 0, total);
    } else {
        give_sums(&job, W, job.sums, n);
    }
    give_sums(&job, B, job.sums + n, n);
    give_sums(&job, A, job.sums + 2 * n, 1);
    give_sums(&job, S, job.sums + 2 * n + 1, 1);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_squash) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
