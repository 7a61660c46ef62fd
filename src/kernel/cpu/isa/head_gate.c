/* head_gate in float32, head by head. */
#include "kernel/cpu/row_lanes.h"
#include "op/act.h"

static struct row_job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(c->in[0]), .width = mega_width(c->in[0])
    };
}

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
