/* scale in float32: y = factor w x, channel by channel. */
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_SCALE_X, W = MEGA_SCALE_WEIGHT };

static float factor_of(const struct row_job *job)
{
    return (float)((const struct mega_attr_scale *)job->c->attr)->factor;
}

VEC_INLINE vec gain(const struct row_job *job, int64_t j)
{
    const float *w = row_of(job->c->in[W], 0);
    vec factor = vec_all(factor_of(job));
    return w ? factor * vec_get(w + j, job->width - j) : factor;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++)
        for (int64_t j = 0; j < n; j += VEC)
            vec_put(row_of(job->c->out[0], r) + j,
                gain(job, j) * vec_get(row_of(job->c->in[X], r) + j, n - j), n - j);
}

/* sums: d w */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    float factor = factor_of(job);
    bool add = row_adds(job, X);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, X, r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(dy + j, n - j);
            vec_add_to(sums + j, factor * d * vec_get(x + j, n - j), n - j);
            if (dx) vec_give(dx + j, gain(job, j) * d, add, n - j);
        }
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 1);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some_back);
    row_groups(&job, job.width, 2);
    give_sums(&job, W, job.sums, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_scale) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
