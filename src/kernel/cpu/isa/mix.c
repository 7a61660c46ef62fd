/* mix in float32: y = sum_i w[from + i step] x_i, one row at a time. */
#include "kernel/cpu/row_lanes.h"

enum { W = MEGA_MIX_WEIGHTS, X = MEGA_MIX_X, END = MEGA_MIX_INPUTS };

static float *weight_of(const struct row_job *job, float *row, int i)
{
    const struct mega_attr_mix *a = job->c->attr;
    return row + a->from + (i - X) * a->step;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        float *y = row_of(job->c->out[0], r), *w = row_of(job->c->in[W], r);
        for (int i = X; i < END; i++) {
            const float *x = row_of(job->c->in[i], r);
            for (int64_t j = 0; x && j < n; j += VEC)
                vec_give(y + j, *weight_of(job, w, i) * vec_get(x + j, n - j), i > X, n - j);
        }
    }
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *dy = row_of(job->g->out[0], r);
        float *w = row_of(job->c->in[W], r), *dw = row_gradient(job, W, r);
        if (dw && !row_adds(job, W))
            memset(dw, 0, (size_t)mega_width(job->g->in[W]) * sizeof *dw);
        for (int i = X; i < END; i++) {
            const float *x = row_of(job->c->in[i], r);
            float *dx = x ? row_gradient(job, i, r) : NULL;
            vec part = { 0 };
            for (int64_t j = 0; x && j < n; j += VEC) {
                vec d = vec_get(dy + j, n - j);
                part += d * vec_get(x + j, n - j);
                if (dx) vec_give(dx + j, *weight_of(job, w, i) * d, row_adds(job, i), n - j);
            }
            if (dw && x) *weight_of(job, dw, i) += vec_sum(part);
        }
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 8);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some_back);
    row_lanes(&job, 16);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_mix) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
