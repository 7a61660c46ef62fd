/* head_norm and head_gate in float32, head by head. Nothing is kept: sums over a head are
 * cheaper to take again than to read. */
#include "kernel/cpu/row_lanes.h"
#include "op/act.h"

static struct row_job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(c->in[0]), .width = mega_width(c->in[0])
    };
}

/* ---- head_norm ---- */

enum { X = MEGA_HEAD_NORM_X, W = MEGA_HEAD_NORM_WEIGHT };

static int64_t group_width(const struct row_job *job)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    return job->width / (a->heads * (a->groups > 0 ? a->groups : 1));
}

/* what a group is multiplied by; *share: of the part along x that its gradient loses */
static float factor_of(const struct row_job *job, const float *x, int64_t n, float *share)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    vec squares = { 0 };
    for (int64_t j = 0; j < n; j += VEC) {
        vec v = vec_get(x + j, n - j);
        squares += v * v;
    }
    float sum = vec_sum(squares), least = (float)a->eps;
    *share = 1;
    if (a->kind == MEGA_HEAD_NORM_RMS) {
        *share = 1 / (float)n;
        return 1 / sqrtf(sum / (float)n + least);
    }
    if (sqrtf(sum) < least) *share = 0;
    return 1 / fmaxf(sqrtf(sum), least);
}

VEC_INLINE vec gain(const struct row_job *job, int64_t j, int64_t left)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    const mega_tensor *w = job->c->in[W];
    if (!w) return vec_all(1);
    return vec_get((const float *)w->data + j, left) + (a->unit_offset ? 1.0f : 0.0f);
}

static void norm_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    int64_t n = group_width(job);
    float share;
    for (int64_t r = from; r < to; r++)
        for (int64_t at = 0; at < job->width; at += n) {
            const float *x = row_of(job->c->in[X], r) + at;
            float *y = row_of(job->c->out[0], r) + at, f = factor_of(job, x, n, &share);
            for (int64_t j = 0; j < n; j += VEC)
                vec_put(y + j, vec_get(x + j, n - j) * f * gain(job, at + j, n - j), n - j);
        }
}

/* with e = dy w and z = x f: dx = f (e - share z sum(e z)); sums: d weight */
static void norm_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    int64_t n = group_width(job);
    bool add = row_adds(job, X), weighted = job->c->in[W] != NULL;
    for (int64_t r = from; r < to; r++)
        for (int64_t at = 0; at < job->width; at += n) {
            const float *x = row_of(job->c->in[X], r) + at,
                        *dy = row_of(job->g->out[0], r) + at;
            float share, f = factor_of(job, x, n, &share), *dx = row_gradient(job, X, r);
            vec sum = { 0 };
            for (int64_t j = 0; j < n; j += VEC) {
                vec z = vec_get(x + j, n - j) * f, d = vec_get(dy + j, n - j) * z;
                sum += d * gain(job, at + j, n - j);
                if (weighted) vec_add_to(sums + at + j, d, n - j);
            }
            float along = share * vec_sum(sum);
            for (int64_t j = 0; dx && j < n; j += VEC) {
                vec z = vec_get(x + j, n - j) * f,
                    e = vec_get(dy + j, n - j) * gain(job, at + j, n - j);
                vec_give(dx + at + j, f * (e - z * along), add, n - j);
            }
        }
}

static void norm_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = norm_some;
    row_lanes(&job, 3);
}

static void norm_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = norm_back;
    row_groups(&job, job.width, 6);
    give_sums(&job, W, job.sums, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = norm_forward,
    .backward = norm_backward };

/* ---- head_gate ---- */

enum { WEIGHT = MEGA_HEAD_GATE_WEIGHT, GATE = MEGA_HEAD_GATE_GATE };

static int64_t weight_at(const struct row_job *job, int64_t h)
{
    return mega_count(job->c->in[WEIGHT]) == 1 ? 0 : h;
}

/* a head's factor and its slope by the parameter */
static float weight(const struct row_job *job, int64_t h, float *slope)
{
    const struct mega_attr_head_gate *a = job->c->attr;
    *slope = 1;
    if (!job->c->in[WEIGHT]) return 1;
    float w = ((const float *)job->c->in[WEIGHT]->data)[weight_at(job, h)], most = logf(100);
    if (!a->log) return w;
    *slope = w < most ? expf(w) : 0;
    return expf(fminf(w, most));
}

static void scale_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const struct mega_attr_head_gate *a = job->c->attr;
    int64_t n = job->width / a->heads;
    float slope;
    for (int64_t r = from; r < to; r++) {
        const float *x = row_of(job->c->in[0], r), *g = row_of(job->c->in[GATE], r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t h = 0; h < a->heads; h++, x += n, y += n) {
            float by = weight(job, h, &slope);
            if (g) by *= (float)mega_act(a->act, (double)g[h]);
            for (int64_t j = 0; j < n; j += VEC)
                vec_put(y + j, by * vec_get(x + j, n - j), n - j);
        }
    }
}

/* sums: d weight of each head */
static void scale_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    const struct mega_attr_head_gate *a = job->c->attr;
    int64_t n = job->width / a->heads;
    bool add = row_adds(job, 0);
    for (int64_t r = from; r < to; r++) {
        const float *g = row_of(job->c->in[GATE], r);
        float *dg = row_gradient(job, GATE, r);
        for (int64_t h = 0; h < a->heads; h++) {
            const float *x = row_of(job->c->in[0], r) + h * n,
                        *dy = row_of(job->g->out[0], r) + h * n;
            float *dx = row_gradient(job, 0, r), slope, w = weight(job, h, &slope),
                  by = g ? (float)mega_act(a->act, (double)g[h]) : 1;
            vec sum = { 0 };
            for (int64_t j = 0; j < n; j += VEC) {
                vec d = vec_get(dy + j, n - j);
                sum += d * vec_get(x + j, n - j);
                if (dx) vec_give(dx + h * n + j, w * by * d, add, n - j);
            }
            float dot = vec_sum(sum);
            sums[h] += dot * by * slope;
            if (!dg) continue;
            float d = dot * w * (float)mega_act_slope(a->act, (double)g[h]);
            dg[h] = row_adds(job, GATE) ? dg[h] + d : d;
        }
    }
}

static void scale_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = scale_some;
    row_lanes(&job, 1);
}

static void scale_backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_head_gate *a = c->attr;
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = scale_back;
    row_groups(&job, a->heads, 2);
    if (!c->in[WEIGHT]) return;
    for (int64_t h = 1; mega_count(c->in[WEIGHT]) == 1 && h < a->heads; h++)
        job.sums[0] += job.sums[h];
    give_sums(&job, WEIGHT, job.sums, mega_count(c->in[WEIGHT]));
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_gate) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = scale_forward,
    .backward = scale_backward };
