/* cross_entropy in float32, losses summed in double; rows of bfloat16 are widened one by one.
 * Kept for the backward pass: log sum exp of each row. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

enum {
    LOGITS = MEGA_CROSS_ENTROPY_LOGITS,
    TARGET = MEGA_CROSS_ENTROPY_TARGET,
    WEIGHT = MEGA_CROSS_ENTROPY_WEIGHT
};

struct rows_job {
    struct row_job job;
    double *loss; /* of each row */
};

static bool accepts(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->in[LOGITS]->dtype;
    *why = "logits of float32 or bfloat16, weights of float32";
    if (c->in[WEIGHT] && c->in[WEIGHT]->dtype != MEGA_F32) return false;
    return (type == MEGA_F32 || type == MEGA_BF16) && c->in[TARGET]->dtype == MEGA_I32;
}

static bool logits_half(const struct mega_call *c)
{
    return c->in[LOGITS]->dtype == MEGA_BF16;
}

static int32_t target_of(const struct row_job *job, int64_t r)
{
    return ((const int32_t *)job->c->in[TARGET]->data)[r];
}

static float weight_of(const struct row_job *job, int64_t r)
{
    const mega_tensor *w = job->c->in[WEIGHT];
    return w ? ((const float *)w->data)[r] : 1;
}

/* a row in float32; `room` holds one that is not */
static const float *logits_of(const struct row_job *job, int64_t r, float *room)
{
    if (!room) return row_of(job->c->in[LOGITS], r);
    row_functions->widen(room, mega_row(job->c->in[LOGITS], r), job->width);
    return room;
}

static float *room_of(const struct row_job *job, struct mega_arena *scratch)
{
    return logits_half(job->c) ? mega_arena_get(scratch, (size_t)job->width * sizeof(float))
                               : NULL;
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

/* the loss of a row whose log sum exp is `total` */
static double row_loss(const struct mega_attr_cross_entropy *a, const float *s, int64_t n,
    float total, int32_t target)
{
    double loss = (1 - a->smoothing) * ((double)total - (double)s[target]), all = 0;
    for (int64_t j = 0; a->smoothing > 0 && j < n; j += VEC)
        all += (double)vec_sum(vec_get(s + j, n - j));
    return loss + a->smoothing * ((double)total - all / (double)n) +
           a->z * (double)total * (double)total;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    double *loss = ((const struct rows_job *)job)->loss;
    float *kept = job->c->saved[0] ? job->c->saved[0]->data : NULL;
    float *room = room_of(job, scratch), *nll = job->c->out[1] ? job->c->out[1]->data : NULL;
    for (int64_t r = from; r < to; r++) {
        int32_t target = target_of(job, r);
        const float *s = target >= 0 ? logits_of(job, r, room) : NULL;
        float total = s ? log_sum(s, job->width) : 0;
        loss[r] = s ? row_loss(job->c->attr, s, job->width, total, target) : 0;
        loss[r] *= (double)weight_of(job, r);
        if (kept) kept[r] = total;
        if (nll) nll[r] = s ? total - s[target] : 0;
    }
}

/* d = each ((1 + 2 z total) p - e/V - (1 - e) [target]), written or added */
static void row_slope(const struct mega_attr_cross_entropy *a, const float *s, int64_t n,
    float total, int32_t target, float each, float *d, bool add)
{
    float factor = target >= 0 ? each * (1 + 2 * (float)a->z * total) : 0,
          flat = target >= 0 ? each * (float)(a->smoothing / (double)n) : 0;
    for (int64_t j = 0; j < n; j += VEC)
        vec_give(d + j, factor * vec_exp(vec_get(s + j, n - j) - total) - flat, add, n - j);
    if (target >= 0) d[target] -= each * (float)(1 - a->smoothing);
}

/* the gradient of a row's weight: its loss */
static void weight_slope(
    const struct row_job *job, const float *s, int64_t r, float total, float each)
{
    float *to = (float *)job->g->in[WEIGHT]->data + r;
    int32_t target = target_of(job, r);
    double loss = target >= 0 ? row_loss(job->c->attr, s, job->width, total, target) : 0;
    *to = (row_adds(job, WEIGHT) ? *to : 0) + each * (float)loss;
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    const float *kept = job->c->saved[0]->data;
    float each = *(const float *)job->g->out[0]->data;
    bool add = row_adds(job, LOGITS);
    float *room = room_of(job, scratch), *narrow = room_of(job, scratch);
    for (int64_t r = from; r < to; r++) {
        float *d = narrow ? narrow : job->g->in[LOGITS] ? row_gradient(job, LOGITS, r) : NULL;
        const float *s = logits_of(job, r, room);
        if (job->g->in[WEIGHT]) weight_slope(job, s, r, kept[r], each);
        if (!job->g->in[LOGITS]) continue;
        row_slope(job->c->attr, s, job->width, kept[r], target_of(job, r),
            each * weight_of(job, r), d, add && !narrow);
        if (narrow)
            (add ? row_functions->narrow_add : row_functions->narrow)(
                mega_row(job->g->in[LOGITS], r), narrow, job->width);
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
    if ((!g->in[LOGITS] && !g->in[WEIGHT]) || nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = some_back;
    row_lanes(&job, 6);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_cross_entropy) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward };
