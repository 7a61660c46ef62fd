/* laser in float32: y = exp(c tanh(x / c)), or log(max(x, 1e-20)). */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

static const float least = 1e-20f;

static float clamp_of(const struct row_job *job)
{
    return (float)((const struct mega_attr_laser *)job->c->attr)->clamp;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    float c = clamp_of(job);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[0], r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; c > 0 && j < n; j += VEC)
            vec_put(y + j, vec_exp(c * vec_tanh(vec_get(x + j, n - j) / c)), n - j);
        for (int64_t j = 0; !(c > 0) && j < n; j += VEC)
            vec_put(y + j, vec_log(vec_max(vec_get(x + j, n - j), vec_all(least))), n - j);
    }
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    float c = clamp_of(job);
    bool add = row_adds(job, 0);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[0], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, 0, r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(x + j, n - j), d = vec_get(dy + j, n - j);
            if (c > 0) {
                vec t = vec_tanh(v / c);
                d *= vec_exp(c * t) * (1 - t * t);
            } else {
                d = vec_where(v > least, d / vec_max(v, vec_all(least)));
            }
            vec_give(dx + j, d, add, n - j);
        }
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[0], some);
    row_lanes(&job, 8);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[0] || nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[0], some_back);
    row_lanes(&job, 10);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_laser) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
