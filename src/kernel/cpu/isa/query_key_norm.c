/* query_key_norm in float32: both outputs in one pass over a row, head by head. Nothing is
 * kept: the sum of squares is cheaper to take again than to read. */
#include "kernel/cpu/row_lanes.h"

enum { Z = MEGA_QUERY_KEY_Z, GAMMA = MEGA_QUERY_KEY_GAMMA, BETA = MEGA_QUERY_KEY_BETA };

struct head {
    int64_t d;
    float root; /* 1 / sqrt(d) */
};

static struct head head_of(const struct row_job *job)
{
    const struct mega_attr_query_key_norm *a = job->c->attr;
    struct head h = { .d = job->width / a->heads };
    h.root = 1 / sqrtf((float)h.d);
    return h;
}

/* 1 / sqrt(mean(z^2) + eps) */
static float factor_of(const struct row_job *job, const float *z, int64_t d)
{
    const struct mega_attr_query_key_norm *a = job->c->attr;
    vec squares = { 0 };
    for (int64_t j = 0; j < d; j += VEC) {
        vec v = vec_get(z + j, d - j);
        squares += v * v;
    }
    return 1 / sqrtf(vec_sum(squares) / (float)d + (float)a->eps);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct head h = head_of(job);
    for (int64_t r = from; r < to; r++)
        for (int64_t at = 0; at < job->width; at += h.d) {
            const float *z = row_of(job->c->in[Z], r) + at;
            float f = factor_of(job, z, h.d);
            for (int64_t j = 0; j < h.d; j += VEC) {
                vec zn = vec_get(z + j, h.d - j) * f;
                for (int i = 0; i < 2; i++) {
                    vec gain =
                        (vec_get(row_of(job->c->in[GAMMA], i) + at + j, h.d - j) + 1.0f) *
                        h.root;
                    vec_put(row_of(job->c->out[i], r) + at + j,
                        zn * gain + vec_get(row_of(job->c->in[BETA], i) + at + j, h.d - j),
                        h.d - j);
                }
            }
        }
}

/* e = dq gain_q + dk gain_k; sums: d gamma [2, Z], d beta [2, Z] */
VEC_INLINE vec arrive(const struct row_job *job, const struct head *h, int64_t r, int64_t at,
    int64_t left, vec zn, float *sums)
{
    vec e = { 0 };
    for (int i = 0; i < 2; i++) {
        if (!job->g->out[i]) continue;
        vec d = vec_get(row_of(job->g->out[i], r) + at, left),
            gain = (vec_get(row_of(job->c->in[GAMMA], i) + at, left) + 1.0f) * h->root;
        e += d * gain;
        if (!sums) continue;
        vec_add_to(sums + i * job->width + at, d * zn * h->root, left);
        vec_add_to(sums + (2 + i) * job->width + at, d, left);
    }
    return e;
}

/* dz = f (e - zn mean(e zn)) */
static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    struct head h = head_of(job);
    bool add = row_adds(job, Z);
    for (int64_t r = from; r < to; r++)
        for (int64_t at = 0; at < job->width; at += h.d) {
            const float *z = row_of(job->c->in[Z], r) + at;
            float f = factor_of(job, z, h.d), *dz = row_gradient(job, Z, r);
            vec sum = { 0 };
            for (int64_t j = 0; j < h.d; j += VEC) {
                vec zn = vec_get(z + j, h.d - j) * f;
                sum += arrive(job, &h, r, at + j, h.d - j, zn, sums) * zn;
            }
            float mean = vec_sum(sum) / (float)h.d;
            for (int64_t j = 0; dz && j < h.d; j += VEC) {
                vec zn = vec_get(z + j, h.d - j) * f;
                vec e = arrive(job, &h, r, at + j, h.d - j, zn, NULL);
                vec_give(dz + at + j, f * (e - zn * mean), add, h.d - j);
            }
        }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[Z], some);
    row_lanes(&job, 4);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[Z], some_back);
    row_groups(&job, 4 * job.width, 10);
    give_sums(&job, GAMMA, job.sums, 2 * job.width);
    give_sums(&job, BETA, job.sums + 2 * job.width, 2 * job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_query_key_norm) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
