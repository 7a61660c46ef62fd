/* log_softmax in float32; rows of bfloat16 are widened into their outputs. The backward pass
 * has the softmax from what came out. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

enum { X = MEGA_LOG_SOFTMAX_X, BASE = MEGA_LOG_SOFTMAX_BASE };

static bool accepts(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->in[X]->dtype;
    *why = "x of float32 or bfloat16, a base of float32";
    return (type == MEGA_F32 || type == MEGA_BF16) && c->out[0]->dtype == MEGA_F32 &&
           (!c->in[BASE] || c->in[BASE]->dtype == MEGA_F32);
}

static bool x_half(const struct mega_call *c)
{
    return c->in[X]->dtype == MEGA_BF16;
}

/* log of the sum of exp(x - most), in double: a vocabulary has many words */
static float log_sum(const float *x, float most, int64_t n)
{
    enum { PIECE = 1024 };
    double sum = 0;
    for (int64_t from = 0; from < n; from += PIECE) {
        int64_t end = least(n, from + PIECE), whole = end - (end - from) % VEC;
        vec part = { 0 };
        for (int64_t j = from; j < whole; j += VEC)
            part += vec_exp_down(vec_load(x + j) - most);
        sum += (double)vec_sum(part);
        for (int64_t j = whole; j < end; j++) sum += (double)expf(x[j] - most);
    }
    return (float)log(sum);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const struct mega_call *c = job->c;
    for (int64_t r = from, n = job->width; r < to; r++) {
        float *y = row_of(c->out[0], r);
        if (x_half(c))
            row_functions->widen(y, mega_row(c->in[X], r), n);
        else
            memcpy(y, row_of(c->in[X], r), (size_t)n * sizeof *y);
        float most = row_functions->most(y, n),
              rest = log_sum(y, most, n) - (c->in[BASE] ? *row_of(c->in[BASE], r) : 0);
        for (int64_t j = 0; j < n; j += VEC)
            vec_put(y + j, vec_get(y + j, n - j) - most - rest, n - j);
    }
}

/* dx = dy - softmax sum(dy), into `to` */
static void slope(
    const float *y, float base, const float *dy, float sum, float *to, bool add, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_give(to + j, vec_get(dy + j, n - j) - sum * vec_exp(vec_get(y + j, n - j) - base),
            add, n - j);
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    const struct mega_call *c = job->c;
    float *room = mega_arena_get(scratch, (size_t)job->width * sizeof *room);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *y = row_of(c->out[0], r), *dy = row_of(job->g->out[0], r);
        float base = c->in[BASE] ? *row_of(c->in[BASE], r) : 0, sum = row_functions->sum(dy, n);
        float *dx = x_half(c) ? NULL : row_gradient(job, X, r),
              *db = row_gradient(job, BASE, r);
        bool add = row_adds(job, X);
        if (db) *db = sum + (row_adds(job, BASE) ? *db : 0);
        if (!job->g->in[X]) continue;
        slope(y, base, dy, sum, x_half(c) ? room : dx, add && !x_half(c), n);
        if (x_half(c))
            (add ? row_functions->narrow_add : row_functions->narrow)(
                mega_row(job->g->in[X], r), room, n);
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
    row_lanes(&job, 8);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_log_softmax) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .forward = forward,
    .backward = backward,
    .reads_out = true,
};
