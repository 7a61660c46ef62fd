/* cross_entropy in float32, losses summed in double. Kept for the backward pass: log sum exp of
 * each row. */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

enum { LOGITS = MEGA_CROSS_ENTROPY_LOGITS, TARGET = MEGA_CROSS_ENTROPY_TARGET };

struct rows_job {
    struct row_job job;
    double *loss; /* of each row */
};

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "float32 only";
    return c->in[LOGITS]->dtype == MEGA_F32 && c->in[TARGET]->dtype == MEGA_I32;
}

static int32_t target_of(const struct row_job *job, int64_t r)
{
    return ((const int32_t *)job->c->in[TARGET]->data)[r];
}

static float log_sum(const float *s, int64_t n)
{
    vec most = vec_all(-INFINITY), sum = { 0 };
    int64_t whole = n / VEC * VEC;
    for (int64_t j = 0; j < whole; j += VEC) most = vec_max(most, vec_load(s + j));
    float top = vec_most(most), rest = 0;
    for (int64_t j = whole; j < n; j++) top = s[j] > top ? s[j] : top;
    for (int64_t j = 0; j < whole; j += VEC) sum += vec_exp_down(vec_load(s + j) - top);
    for (int64_t j = whole; j < n; j++) rest += expf(s[j] - top);
    return top + logf(vec_sum(sum) + rest);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    double *loss = ((const struct rows_job *)job)->loss;
    float *kept = job->c->saved[0] ? job->c->saved[0]->data : NULL;
    for (int64_t r = from; r < to; r++) {
        const float *s = row_of(job->c->in[LOGITS], r);
        int32_t target = target_of(job, r);
        float total = target >= 0 ? log_sum(s, job->width) : 0;
        loss[r] = target >= 0 ? (double)total - (double)s[target] : 0;
        if (kept) kept[r] = total;
    }
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const float *kept = job->c->saved[0]->data;
    float each = *(const float *)job->g->out[0]->data;
    bool add = row_adds(job, LOGITS);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *s = row_of(job->c->in[LOGITS], r);
        float *d = row_gradient(job, LOGITS, r);
        int32_t target = target_of(job, r);
        float factor = target >= 0 ? each : 0;
        for (int64_t j = 0; j < n; j += VEC)
            vec_give(d + j, factor * vec_exp(vec_get(s + j, n - j) - kept[r]), add, n - j);
        if (target >= 0) d[target] -= each;
    }
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] = mega_shaped(MEGA_F32, 1, mega_height(c->in[LOGITS]), 0, 0, 0);
}

static struct row_job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(c->in[LOGITS]), .width = mega_width(c->in[LOGITS])
    };
}

static void forward(const struct mega_call *c)
{
    struct rows_job k = { .job = job_of(c, NULL) };
    k.job.some = some;
    k.loss = mega_scratch(c->work, (size_t)k.job.rows * sizeof *k.loss);
    row_lanes(&k.job, 8);
    double sum = 0;
    for (int64_t r = 0; r < k.job.rows; r++) sum += k.loss[r];
    *(float *)c->out[0]->data = (float)sum;
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[LOGITS] || nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = some_back;
    row_lanes(&job, 6);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_cross_entropy) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward };
