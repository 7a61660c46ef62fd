/* orthogonal in float32: y less its part along x. A scope is what has one product: a place, or
 * the places of a row, of which only real ones count. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_ORTHOGONAL_X, Y = MEGA_ORTHOGONAL_Y };

static const float least_square = 1e-24f;

static bool over_places(const struct mega_call *c)
{
    return ((const struct mega_attr_orthogonal *)c->attr)->sample;
}

static bool counts(const struct mega_call *c, int64_t r)
{
    return !over_places(c) || mega_rows_real(c->rows, r / c->rows->T, r % c->rows->T);
}

/* the sum of a.b over rows that count */
static float product(const struct row_job *job, const mega_tensor *a, const mega_tensor *b,
    int64_t from, int64_t to, bool all)
{
    double sum = 0;
    for (int64_t r = from; r < to; r++)
        if (all || counts(job->c, r))
            sum += (double)row_functions->dot(row_of(a, r), row_of(b, r), job->width);
    return (float)sum;
}

static void scope(const struct row_job *job, int64_t from, int64_t to)
{
    mega_tensor *const *in = job->c->in;
    float square = product(job, in[X], in[X], from, to, false),
          part = product(job, in[Y], in[X], from, to, false) / fmaxf(square, least_square);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(in[X], r), *y = row_of(in[Y], r);
        float *z = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC)
            vec_put(z + j, vec_get(y + j, n - j) - part * vec_get(x + j, n - j), n - j);
    }
}

/* with p = y.x / |x|^2 and q = dz.x:  dy = dz - q x / |x|^2,
 * dx = -p dz - q (y - 2 p x) / |x|^2 */
static void scope_back(const struct row_job *job, int64_t from, int64_t to)
{
    mega_tensor *const *in = job->c->in;
    float square = product(job, in[X], in[X], from, to, false),
          norm = fmaxf(square, least_square),
          part = product(job, in[Y], in[X], from, to, false) / norm,
          along = product(job, job->g->out[0], in[X], from, to, true) / norm,
          turn = square > least_square ? 2 * part : 0;
    bool add_x = row_adds(job, X), add_y = row_adds(job, Y);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(in[X], r), *y = row_of(in[Y], r),
                    *d = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, X, r), *dy = row_gradient(job, Y, r),
              q = counts(job->c, r) ? along : 0;
        for (int64_t j = 0; j < n; j += VEC) {
            vec at = vec_get(x + j, n - j), dz = vec_get(d + j, n - j);
            if (dy) vec_give(dy + j, dz - q * at, add_y, n - j);
            if (dx)
                vec_give(
                    dx + j, -part * dz - q * (vec_get(y + j, n - j) - turn * at), add_x, n - j);
        }
    }
}

/* rows of a job over places: each a scope */
static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from; r < to; r++) (job->g ? scope_back : scope)(job, r, r + 1);
}

/* a row of places is a scope */
static void lane(void *arg, int64_t b, struct mega_arena *scratch)
{
    (void)scratch;
    const struct row_job *job = arg;
    int64_t T = job->c->rows->T;
    (job->g ? scope_back : scope)(job, b * T, (b + 1) * T);
}

static void go(const struct mega_call *c, struct mega_grads *g, double cost)
{
    struct row_job job = row_job_of(c, g, c->in[X], some);
    if (over_places(c))
        mega_lanes(c->work, c->rows->B, (double)mega_count(c->in[X]) * cost, lane, &job);
    else
        row_lanes(&job, cost);
}

static void forward(const struct mega_call *c)
{
    go(c, NULL, 4);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!nothing_arrived(c, g)) go(c, g, 8);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    return over_places(c) ? rows_accept(c, why) : rows_accept_half(c, why);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_orthogonal) = {
    .name = MEGA_ISA_TEXT, .accepts = accepts, .forward = forward, .backward = backward
};
