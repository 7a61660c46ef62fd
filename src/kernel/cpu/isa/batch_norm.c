/* batch_norm in float32. Moments by one pass over the rows, about a mean guessed from a few of
 * them so that squares do not cancel. Kept for the backward pass: mean and factor of each
 * channel. */
#include "kernel/cpu/row_lanes.h"

enum {
    X = MEGA_BATCH_NORM_X,
    W = MEGA_BATCH_NORM_WEIGHT,
    B = MEGA_BATCH_NORM_BIAS,
    MEAN = MEGA_BATCH_NORM_MEAN,
    VAR = MEGA_BATCH_NORM_VAR
};
enum { GUESS_ROWS = 64 };

/* One use of the kernel, and what it knows of each channel. */
struct channels {
    struct row_job job;
    float *mean, *factor;    /* factor: 1 / sqrt(var + eps) */
    float *gain, *shift;     /* forward: y = x gain + shift about the mean */
    float *mean_e, *mean_ez; /* backward in training: means over rows, see some_back */
};

static struct channels channels_of(const struct mega_call *c, struct mega_grads *g)
{
    struct channels k = {
        .job = { .c = c, .g = g, .rows = mega_height(c->in[X]), .width = mega_width(c->in[X]) }
    };
    float **all[] = { &k.mean, &k.factor, &k.gain, &k.shift, &k.mean_e, &k.mean_ez };
    for (int i = 0; i < 6; i++)
        *all[i] = mega_scratch(c->work, (size_t)k.job.width * sizeof(float));
    return k;
}

static float parameter(const struct mega_call *c, int i, int64_t j, float none)
{
    return c->in[i] ? ((const float *)c->in[i]->data)[j] : none;
}

/* means of some rows, spread over all */
static void guess_mean(struct channels *k)
{
    int64_t n = k->job.width, rows = k->job.rows < GUESS_ROWS ? k->job.rows : GUESS_ROWS;
    memset(k->mean, 0, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < rows; i++) {
        const float *x = row_of(k->job.c->in[X], i * k->job.rows / rows);
        for (int64_t j = 0; j < n; j++) k->mean[j] += x[j] / (float)rows;
    }
}

/* sums: of x - guess [n], of its squares [n] */
static void some_moments(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    const float *guess = ((const struct channels *)job)->mean;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(x + j, n - j) - vec_get(guess + j, n - j);
            vec_add_to(sums + j, d, n - j);
            vec_add_to(sums + n + j, d * d, n - j);
        }
    }
}

/* mean and factor from the batch; puts the new running values */
static void batch_moments(struct channels *k)
{
    const struct mega_call *c = k->job.c;
    const struct mega_attr_batch_norm *a = c->attr;
    int64_t n = k->job.width;
    double rows = (double)k->job.rows, old = 1 - a->momentum;
    guess_mean(k);
    k->job.some = some_moments;
    row_groups(&k->job, 2 * n, 2);
    for (int64_t j = 0; j < n; j++) {
        double off = (double)k->job.sums[j] / rows,
               var = (double)k->job.sums[n + j] / rows - off * off;
        double mean = (double)k->mean[j] + off;
        if (var < 0) var = 0;
        k->mean[j] = (float)mean;
        k->factor[j] = (float)(1 / sqrt(var + a->eps));
        ((float *)c->out[1]->data)[j] =
            (float)(old * (double)parameter(c, MEAN, j, 0) + a->momentum * mean);
        ((float *)c->out[2]->data)[j] = (float)(old * (double)parameter(c, VAR, j, 0) +
                                                a->momentum * var * rows / (rows - 1));
    }
}

static void running_moments(struct channels *k)
{
    const struct mega_call *c = k->job.c;
    const struct mega_attr_batch_norm *a = c->attr;
    for (int64_t j = 0; j < k->job.width; j++) {
        k->mean[j] = parameter(c, MEAN, j, 0);
        k->factor[j] = (float)(1 / sqrt((double)parameter(c, VAR, j, 0) + a->eps));
    }
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const struct channels *k = (const struct channels *)job;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(x + j, n - j) - vec_get(k->mean + j, n - j);
            vec_put(
                y + j, d * vec_get(k->gain + j, n - j) + vec_get(k->shift + j, n - j), n - j);
        }
    }
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] = mega_shaped(MEGA_F32, 2, 2, mega_width(c->in[X]), 0, 0);
}

static void forward(const struct mega_call *c)
{
    struct channels k = channels_of(c, NULL);
    int64_t n = k.job.width;
    if (c->mode & MEGA_RUN_TRAIN)
        batch_moments(&k);
    else
        running_moments(&k);
    for (int64_t j = 0; j < n; j++) {
        k.gain[j] = k.factor[j] * parameter(c, W, j, 1);
        k.shift[j] = parameter(c, B, j, 0);
    }
    if (c->saved[0]) {
        memcpy(row_of(c->saved[0], 0), k.mean, (size_t)n * sizeof(float));
        memcpy(row_of(c->saved[0], 1), k.factor, (size_t)n * sizeof(float));
    }
    k.job.groups = 0;
    k.job.some = some;
    row_lanes(&k.job, 2);
}

/* sums: of dy z [n], of dy [n], with z = (x - mean) factor */
static void some_sums(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    const float *mean = row_of(job->c->saved[0], 0), *factor = row_of(job->c->saved[0], 1);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec z =
                (vec_get(x + j, n - j) - vec_get(mean + j, n - j)) * vec_get(factor + j, n - j);
            vec d = vec_get(dy + j, n - j);
            vec_add_to(sums + j, d * z, n - j);
            vec_add_to(sums + n + j, d, n - j);
        }
    }
}

/* dx = factor (dy w - mean(e) - z mean(e z)), e = dy w; running statistics have no means */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const struct channels *k = (const struct channels *)job;
    const float *mean = row_of(job->c->saved[0], 0), *factor = row_of(job->c->saved[0], 1);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[X], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, X, r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec f = vec_get(factor + j, n - j),
                z = (vec_get(x + j, n - j) - vec_get(mean + j, n - j)) * f;
            vec e = vec_get(dy + j, n - j) * vec_get(k->gain + j, n - j) -
                    vec_get(k->mean_e + j, n - j) - z * vec_get(k->mean_ez + j, n - j);
            vec_give(dx + j, f * e, row_adds(job, X), n - j);
        }
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct channels k = channels_of(c, g);
    int64_t n = k.job.width;
    k.job.some = some_sums;
    row_groups(&k.job, 2 * n, 3);
    give_sums(&k.job, W, k.job.sums, n);
    give_sums(&k.job, B, k.job.sums + n, n);
    if (!g->in[X]) return;
    bool train = c->mode & MEGA_RUN_TRAIN;
    for (int64_t j = 0; j < n; j++) {
        k.gain[j] = parameter(c, W, j, 1);
        float share = train ? k.gain[j] / (float)k.job.rows : 0;
        k.mean_ez[j] = share * k.job.sums[j];
        k.mean_e[j] = share * k.job.sums[n + j];
    }
    k.job.groups = 0;
    k.job.some = some_back;
    row_lanes(&k.job, 3);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_batch_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .keep = keep,
    .forward = forward,
    .backward = backward };
