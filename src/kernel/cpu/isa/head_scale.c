/* head_scale in float32: y = g x, a factor for each head of columns. */
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_HEAD_SCALE_X, G = MEGA_HEAD_SCALE_G };

/* columns of a head */
static int64_t channels(const struct row_job *job)
{
    return job->width / mega_width(job->c->in[G]);
}

/* the row of factors that row r of x has */
static int64_t factors_of(const struct row_job *job, int64_t r)
{
    return r * mega_height(job->c->in[G]) / job->rows;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    int64_t H = mega_width(job->c->in[G]), n = channels(job);
    for (int64_t r = from; r < to; r++) {
        const float *g = row_of(job->c->in[G], factors_of(job, r));
        for (int64_t h = 0; h < H; h++) {
            const float *x = row_of(job->c->in[X], r) + h * n;
            float *y = row_of(job->c->out[0], r) + h * n;
            for (int64_t j = 0; j < n; j += VEC)
                vec_put(y + j, g[h] * vec_get(x + j, n - j), n - j);
        }
    }
}

/* sums: d g; NULL where each row of x has factors of its own, and places in job->sums */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    int64_t H = mega_width(job->c->in[G]), n = channels(job);
    bool add = row_adds(job, X);
    if (!sums) sums = job->sums;
    for (int64_t r = from; r < to; r++) {
        int64_t row = factors_of(job, r);
        const float *g = row_of(job->c->in[G], row);
        for (int64_t h = 0; h < H; h++) {
            const float *x = row_of(job->c->in[X], r) + h * n,
                        *dy = row_of(job->g->out[0], r) + h * n;
            float *dx = row_gradient(job, X, r);
            vec dot = vec_all(0);
            for (int64_t j = 0; j < n; j += VEC) {
                vec d = vec_get(dy + j, n - j);
                dot += d * vec_get(x + j, n - j);
                if (dx) vec_give(dx + h * n + j, g[h] * d, add, n - j);
            }
            sums[row * H + h] += vec_sum(dot);
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
    int64_t factors = mega_count(c->in[G]);
    if (mega_height(c->in[G]) == job.rows) {
        job.sums = mega_scratch(c->work, (size_t)factors * sizeof(float));
        memset(job.sums, 0, (size_t)factors * sizeof(float));
        row_lanes(&job, 2);
    } else {
        row_groups(&job, factors, 2);
    }
    give_sums(&job, G, job.sums, factors);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_scale) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
