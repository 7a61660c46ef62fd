/* shift in float32: each group of channels of a place is copied from its place, or zero. Going
 * back, a place gathers from those that took from it. */
#include "op/shift.h"
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_SHIFT_X, PAST = MEGA_SHIFT_PAST };

/* How channels are cut: group g, of `size` channels, comes from g - ahead places earlier; the
 * rest behind them stays. */
struct groups {
    int64_t n, size, ahead, steps;
};

static struct groups groups_of(const struct mega_call *c)
{
    const struct mega_attr_shift *a = c->attr;
    struct groups s = {
        .n = mega_shift_groups(a), .ahead = a->two_way ? a->steps : 0, .steps = a->steps
    };
    s.size = mega_width(c->in[X]) / s.n;
    return s;
}

/* from NULL: zeros */
static void copy(float *to, const float *from, int64_t n)
{
    if (from)
        memcpy(to, from, (size_t)n * sizeof *to);
    else
        memset(to, 0, (size_t)n * sizeof *to);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const struct mega_call *c = job->c;
    struct groups s = groups_of(c);
    int64_t T = c->rows->T, moved = s.n * s.size, row;
    for (int64_t r = from; r < to; r++) {
        float *y = row_of(c->out[0], r);
        for (int64_t g = 0; g < s.n; g++) {
            int which = mega_shift_source(c, r / T, r % T, g - s.ahead, &row);
            const float *x = which < 0 ? NULL : row_of(c->in[which], row) + g * s.size;
            copy(y + g * s.size, x, s.size);
        }
        copy(y + moved, row_of(c->in[X], r) + moved, job->width - moved);
    }
}

/* to = d, or to += d; d NULL: zeros */
static void give(float *to, const float *d, bool add, int64_t n)
{
    if (!add)
        copy(to, d, n);
    else if (d)
        row_functions->add_scaled(to, d, 1, n);
}

/* what row b's new past owes to a place: the gradient at place t, seen from the row's end */
static const float *from_past(const struct row_job *job, const struct groups *s, int which,
    int64_t b, int64_t t, int64_t row)
{
    const mega_tensor *d = job->g->out[1];
    int64_t k = t - mega_rows_len(job->c->rows, b) + s->steps, taken;
    if (!d || k < 0 || k >= s->steps) return NULL;
    if (mega_shift_kept(job->c, b, k, &taken) != which || taken != row) return NULL;
    return row_of(d, b * s->steps + k);
}

/* the gradient of `row` of an input, whose place is t: before 0 of the past */
static void gather(const struct row_job *job, const struct groups *s, int which, int64_t b,
    int64_t t, int64_t row)
{
    const mega_tensor *d = job->g->out[0];
    int64_t T = job->c->rows->T, moved = s->n * s->size, taken;
    float *dx = row_gradient(job, which, row);
    bool add = row_adds(job, which);
    for (int64_t g = 0; g < s->n; g++) {
        int64_t at = t + g - s->ahead;
        bool took = d && at >= 0 && at < T &&
                    mega_shift_source(job->c, b, at, g - s->ahead, &taken) == which &&
                    taken == row;
        give(dx + g * s->size, took ? row_of(d, b * T + at) + g * s->size : NULL, add, s->size);
    }
    const float *rest = d && which == X ? row_of(d, row) + moved : NULL,
                *past = from_past(job, s, which, b, t, row);
    give(dx + moved, rest, add, job->width - moved);
    if (past) row_functions->add_scaled(dx, past, 1, job->width);
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct groups s = groups_of(job->c);
    for (int64_t r = from, T = job->c->rows->T; r < to; r++)
        gather(job, &s, X, r / T, r % T, r);
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 1);
    struct groups s = groups_of(c);
    for (int64_t i = 0, row; c->out[1] && i < c->rows->B * s.steps; i++) {
        int which = mega_shift_kept(c, i / s.steps, i % s.steps, &row);
        copy(row_of(c->out[1], i), which < 0 ? NULL : row_of(c->in[which], row), job.width);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some_back);
    struct groups s = groups_of(c);
    if (g->in[X]) row_lanes(&job, 2);
    for (int64_t i = 0; g->in[PAST] && i < c->rows->B * s.steps; i++)
        gather(&job, &s, PAST, i / s.steps, i % s.steps - s.steps, i);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_shift) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
