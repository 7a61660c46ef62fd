/* softmax in float32, one row at a time. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

/* y = exp(x - most) / sum */
static void row(float *y, const float *x, int64_t n)
{
    float most = row_functions->most(x, n), sum = row_functions->exp_sum(y, x, most, n);
    row_functions->scale(y, y, 1 / sum, n);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from; job->width && r < to; r++)
        row(row_of(job->c->out[0], r), row_of(job->c->in[0], r), job->width);
}

static int64_t place_of_most(const float *x, int64_t n)
{
    float most = row_functions->most(x, n);
    int64_t j = 0;
    while (j + VEC <= n && !vec_bits(vec_load(x + j) == most)) j += VEC;
    while (j < n - 1 && x[j] != most) j++;
    return j;
}

/* dx = y (dy - y.dy), with dy counted from where y is largest: a y near 1 cancels there */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    int64_t n = job->width;
    float *y = mega_arena_get(scratch, (size_t)(n + 1) * sizeof *y);
    bool add = row_adds(job, 0);
    for (int64_t r = from; n && r < to; r++) {
        const float *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, 0, r);
        vec part = { 0 };
        if (!dx) return;
        row(y, row_of(job->c->in[0], r), n);
        float from_here = dy[place_of_most(y, n)];
        for (int64_t j = 0; j < n; j += VEC)
            part += vec_get(y + j, n - j) * (vec_get(dy + j, n - j) - from_here);
        float mean = vec_sum(part);
        for (int64_t j = 0; j < n; j += VEC)
            vec_give(dx + j,
                vec_get(y + j, n - j) * (vec_get(dy + j, n - j) - from_here - mean), add,
                n - j);
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[0], some);
    row_lanes(&job, 6);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[0], some_back);
    row_lanes(&job, 8);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_softmax) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
