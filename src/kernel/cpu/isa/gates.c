/* gate, gated_residual and query_key in float32: one pass each over what the projections left.
 * Nothing is kept: activations are cheaper to compute again than to read. */
#include "kernel/cpu/isa/gates.h"
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/rows.h"
#include "kernel/cpu/vector_draw.h"
#include "kernel/cpu/vector_math.h"

static struct row_job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(c->in[0]), .width = mega_width(c->in[0])
    };
}

/* ---- gate: y = x act(g) ---- */

static void gate_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    enum mega_act act = ((const struct mega_attr_gate *)job->c->attr)->act;
    for (int64_t r = from; r < to; r++)
        gate_row(act, row_of(job->c->out[0], r), row_of(job->c->in[MEGA_GATE_X], r),
            row_of(job->c->in[MEGA_GATE_G], r), job->width);
}

/* where the gradient of input i goes in row r */
static struct row_grad gradient_of(const struct row_job *job, int i, int64_t r)
{
    return (struct row_grad){ row_gradient(job, i, r), row_adds(job, i) };
}

static void gate_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    enum mega_act act = ((const struct mega_attr_gate *)job->c->attr)->act;
    for (int64_t r = from; r < to; r++)
        gate_row_back(act, NULL, gradient_of(job, MEGA_GATE_X, r),
            gradient_of(job, MEGA_GATE_G, r), row_of(job->g->out[0], r),
            row_of(job->c->in[MEGA_GATE_X], r), row_of(job->c->in[MEGA_GATE_G], r), job->width);
}

static void gate_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = gate_some;
    row_lanes(&job, 4);
}

static void gate_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = gate_some_back;
    row_lanes(&job, 6);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_gate) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = gate_forward,
    .backward = gate_backward };

/* ---- gated_residual: y = x + sigmoid(u) (m act(a + b) - x), m: factors of dropout ---- */

enum {
    X = MEGA_GATED_RESIDUAL_X,
    U = MEGA_GATED_RESIDUAL_U,
    A = MEGA_GATED_RESIDUAL_A,
    B = MEGA_GATED_RESIDUAL_B
};

/* what row r reads; `room` for factors of dropout */
static struct residual_row inputs_of(const struct row_job *job, int64_t r, float *room)
{
    const struct mega_attr_gated_residual *a = job->c->attr;
    struct residual_row in = { row_of(job->c->in[X], r), row_of(job->c->in[U], r),
        row_of(job->c->in[A], r), row_of(job->c->in[B], r), NULL };
    if (!mega_dropout_acts(job->c, a->dropout)) return in;
    struct mega_draw_row d = ROW_DRAWS(job->c, a->dropout, a->kind, r);
    vec_draw_row(room, &d, 0, job->width);
    in.m = room;
    return in;
}

static void residual_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    enum mega_act act = ((const struct mega_attr_gated_residual *)job->c->attr)->act;
    float *room = mega_arena_get(scratch, (size_t)job->width * sizeof *room);
    for (int64_t r = from; r < to; r++) {
        struct residual_row in = inputs_of(job, r, room);
        residual_row(act, row_of(job->c->out[0], r), &in, job->width);
    }
}

static void residual_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    enum mega_act act = ((const struct mega_attr_gated_residual *)job->c->attr)->act;
    float *room = mega_arena_get(scratch, (size_t)job->width * sizeof *room);
    for (int64_t r = from; r < to; r++) {
        struct residual_row in = inputs_of(job, r, room);
        residual_row_back(act, gradient_of(job, X, r), gradient_of(job, U, r),
            gradient_of(job, A, r), gradient_of(job, B, r), row_of(job->g->out[0], r), &in,
            job->width);
    }
}

static void residual_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = residual_some;
    row_lanes(&job, 8);
}

static void residual_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = residual_some_back;
    row_lanes(&job, 12);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_gated_residual) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = residual_forward,
    .backward = residual_backward };

/* ---- query_key: s = silu(z), out[i] = s gamma[i] + beta[i] ---- */

enum { Z = MEGA_QUERY_KEY_Z, GAMMA = MEGA_QUERY_KEY_GAMMA, BETA = MEGA_QUERY_KEY_BETA };

static void query_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *z = row_of(job->c->in[Z], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec s = vec_silu(vec_get(z + j, n - j));
            for (int i = 0; i < 2; i++)
                vec_put(row_of(job->c->out[i], r) + j,
                    s * vec_get(row_of(job->c->in[GAMMA], i) + j, n - j) +
                        vec_get(row_of(job->c->in[BETA], i) + j, n - j),
                    n - j);
        }
    }
}

/* sums: d gamma [2, Z], d beta [2, Z] */
static void query_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    bool add = row_adds(job, Z);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *z = row_of(job->c->in[Z], r);
        float *dz = row_gradient(job, Z, r);
        for (int64_t j = 0; j < n; j += VEC) {
            struct vec_jet s = vec_silu_jet(vec_get(z + j, n - j));
            vec ds = { 0 };
            for (int i = 0; i < 2; i++) {
                if (!job->g->out[i]) continue;
                vec d = vec_get(row_of(job->g->out[i], r) + j, n - j);
                ds += d * vec_get(row_of(job->c->in[GAMMA], i) + j, n - j);
                vec_add_to(sums + i * n + j, d * s.value, n - j);
                vec_add_to(sums + (2 + i) * n + j, d, n - j);
            }
            if (dz) vec_give(dz + j, ds * s.slope, add, n - j);
        }
    }
}

static void query_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = query_some;
    row_lanes(&job, 6);
}

static void query_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = query_some_back;
    row_groups(&job, 4 * job.width, 10);
    give_sums(&job, GAMMA, job.sums, 2 * job.width);
    give_sums(&job, BETA, job.sums + 2 * job.width, 2 * job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_query_key) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = query_forward,
    .backward = query_backward };
