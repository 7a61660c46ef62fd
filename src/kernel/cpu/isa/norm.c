/* norm in float32: layer, scale and rms, one row at a time. Kept for the backward pass: mean
 * and factor of each row. */
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_NORM_X, W = MEGA_NORM_WEIGHT, B = MEGA_NORM_BIAS };

struct moments {
    float mean, factor; /* subtracted; 1 / sqrt(... + eps) */
};

static const struct mega_attr_norm *attr_of(const struct row_job *job)
{
    return job->c->attr;
}

static struct moments moments_of(const struct row_job *job, const float *x)
{
    int64_t n = job->width;
    float mean = 0;
    if (attr_of(job)->kind == MEGA_NORM_LAYER) {
        vec sum = { 0 };
        for (int64_t j = 0; j < n; j += VEC) sum += vec_get(x + j, n - j);
        mean = vec_sum(sum) / (float)n;
    }
    vec squares = { 0 };
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        vec d = vec_load(x + j) - mean;
        squares += d * d;
    }
    float total = vec_sum(squares);
    for (; j < n; j++) total += (x[j] - mean) * (x[j] - mean);
    float eps = (float)attr_of(job)->eps;
    if (!attr_of(job)->guard)
        return (struct moments){ mean, 1 / sqrtf(total / (float)n + eps) };
    return (struct moments){ mean, 1 / fmaxf(sqrtf(total / (float)n), eps / sqrtf((float)n)) };
}

/* the gains of a call */
struct gains {
    const float *w; /* NULL: 1 */
    bool one;       /* a single one */
    float offset;   /* of all */
};

static struct gains gains_of(const struct row_job *job)
{
    const struct mega_attr_norm *a = attr_of(job);
    return (struct gains){ row_of(job->c->in[W], 0), a->kind == MEGA_NORM_SCALE,
        a->unit_offset ? 1 : 0 };
}

/* the gain of channels j ... as a vector */
VEC_INLINE vec gain(const struct gains *g, int64_t j, int64_t n)
{
    if (!g->w) return vec_all(1);
    return (g->one ? vec_all(*g->w) : vec_get(g->w + j, n - j)) + g->offset;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const float *b = row_of(job->c->in[B], 0);
    struct gains w = gains_of(job);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r);
        float *y = row_of(job->c->out[0], r);
        struct moments m = moments_of(job, x);
        if (job->c->saved[0]) {
            float *kept = row_of(job->c->saved[0], r);
            kept[0] = m.mean;
            kept[1] = m.factor;
        }
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = (vec_get(x + j, n - j) - m.mean) * m.factor * gain(&w, j, n);
            vec_put(y + j, b ? v + vec_get(b + j, n - j) : v, n - j);
        }
    }
}

/* with z = (x - mean) f and e = dy w:  dx = f (e - z mean(e z) - [layer] mean(e)); sums: d w
 * [n], d b [n] */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    struct gains w = gains_of(job);
    bool add = row_adds(job, X);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r),
                    *kept = row_of(job->c->saved[0], r);
        float *dx = row_gradient(job, X, r), mean = kept[0], factor = kept[1];
        vec sum_e = { 0 }, sum_ez = { 0 };
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(dy + j, n - j), z = (vec_get(x + j, n - j) - mean) * factor,
                e = d * gain(&w, j, n);
            sum_e += e;
            sum_ez += e * z; /* beyond the row's end d is 0, so e is */
            vec_add_to(sums + j, d * z, n - j);
            vec_add_to(sums + n + j, d, n - j);
        }
        if (!dx) continue;
        float mean_e = attr_of(job)->kind == MEGA_NORM_LAYER ? vec_sum(sum_e) / (float)n : 0,
              mean_ez = vec_sum(sum_ez) / (float)n;
        /* where the guard divides, it knows nothing of x */
        if (attr_of(job)->guard && factor >= sqrtf((float)n) / (float)attr_of(job)->eps)
            mean_ez = 0;
        for (int64_t j = 0; j < n; j += VEC) {
            vec z = (vec_get(x + j, n - j) - mean) * factor,
                e = vec_get(dy + j, n - j) * gain(&w, j, n);
            vec_give(dx + j, factor * (e - z * mean_ez - mean_e), add, n - j);
        }
    }
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] = mega_shaped(MEGA_F32, 2, mega_height(c->in[X]), 2, 0, 0);
}

static void forward(const struct mega_call *c)
{
    struct row_job job = {
        .c = c, .rows = mega_height(c->in[X]), .width = mega_width(c->in[X]), .some = some
    };
    row_lanes(&job, 2);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = { .c = c,
        .g = g,
        .rows = mega_height(c->in[X]),
        .width = mega_width(c->in[X]),
        .some = some_back };
    row_groups(&job, 2 * job.width, 4);
    if (((const struct mega_attr_norm *)c->attr)->kind == MEGA_NORM_SCALE) {
        double total = 0;
        for (int64_t j = 0; j < job.width; j++) total += (double)job.sums[j];
        float gain_gradient = (float)total;
        give_sums(&job, W, &gain_gradient, 1);
    } else {
        give_sums(&job, W, job.sums, job.width);
    }
    give_sums(&job, B, job.sums + job.width, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .keep = keep,
    .forward = forward,
    .backward = backward };
