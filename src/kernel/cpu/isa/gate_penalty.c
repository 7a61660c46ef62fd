/* gate_penalty in float32, with values that weigh by the mean of a layer: one pass over them.
 */
#include "kernel/cpu/row_lanes.h"
#include "op/hard_concrete.h"

enum { A = MEGA_GATE_PENALTY_A, VALUES = MEGA_GATE_PENALTY_VALUES };

static bool accepts(const struct mega_call *c, const char **why)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    if (!rows_accept(c, why)) return false;
    *why = "values of a layer alone";
    return c->in[VALUES] && a->l2 > 0 && !a->each;
}

/* the probability that gate h is open, cut to eps ... 1 - eps, and its slope */
static double open(const struct mega_call *c, int64_t h, double *slope)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    double p = mega_hard_open(&a->gate, mega_hard_at(c->in[A], h)), eps = a->gate.eps;
    *slope = p > eps && p < 1 - eps ? p * (1 - p) : 0;
    return p < eps ? eps : p > 1 - eps ? 1 - eps : p;
}

static double mean_open(const struct mega_call *c)
{
    double sum = 0, slope;
    int64_t H = mega_count(c->in[A]);
    for (int64_t h = 0; h < H; h++) sum += open(c, h, &slope);
    return sum / (double)H;
}

/* sums[0]: of squares; on the way back the gradient of the values, too */
static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    const struct mega_attr_gate_penalty *a = job->c->attr;
    bool back = job->g && job->g->in[VALUES] && job->g->out[0];
    bool adds = back && row_adds(job, VALUES);
    float factor = back ? *row_of(job->g->out[0], 0) * (float)(a->l2 * mean_open(job->c)) : 0;
    for (int64_t r = from; r < to; r++) {
        const float *x = row_of(job->c->in[VALUES], r);
        float *dx = back ? row_gradient(job, VALUES, r) : NULL;
        vec sum = vec_all(0);
        for (int64_t j = 0; j < job->width; j += VEC) {
            vec v = vec_get(x + j, job->width - j);
            sum += v * v;
            if (dx) vec_give(dx + j, factor * v, adds, job->width - j);
        }
        sums[0] += vec_sum(sum);
    }
}

/* l2 / 2 of all squares, for each p of a head */
static double squares(const struct row_job *job)
{
    const struct mega_attr_gate_penalty *a = job->c->attr;
    return a->l2 / 2 * (double)job->sums[0] / (double)mega_count(job->c->in[A]);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    struct row_job job = row_job_of(c, NULL, c->in[VALUES], some);
    row_groups(&job, 1, 1);
    double total = 0, each = a->l0 + squares(&job), slope;
    for (int64_t h = 0, H = mega_count(c->in[A]); h < H; h++) {
        double p = open(c, h, &slope);
        total += p * each;
        if (c->out[1]) mega_put(c->out[1], 0, h, p);
    }
    mega_put(c->out[0], 0, 0, total);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[VALUES], some);
    row_groups(&job, 1, 2);
    if (g->in[VALUES] && !g->out[0] && !(g->add >> VALUES & 1)) mega_tensor_zero(g->in[VALUES]);
    double each = a->l0 + squares(&job), d = g->out[0] ? mega_grad_out(g, 0, 0, 0) : 0, slope;
    for (int64_t h = 0, H = mega_count(c->in[A]); h < H; h++) {
        open(c, h, &slope);
        give_sum(g, A, h, slope * (d * each + (g->out[1] ? mega_grad_out(g, 1, 0, h) : 0)));
    }
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_gate_penalty) = {
    .name = MEGA_ISA_TEXT, .accepts = accepts, .forward = forward, .backward = backward
};
