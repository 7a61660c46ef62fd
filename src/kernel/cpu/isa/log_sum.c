/* log_sum in float32: y = log sum_i exp(x_i). Going back, exp(x_i - y) is each one's share. */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

/* the inputs that there are, at one row */
struct terms {
    int n;
    const float *x[MEGA_LOG_SUM_MOST];
    bool one; /* and a term of 1 */
};

static struct terms terms_of(const struct row_job *job, int64_t r)
{
    struct terms t = { .one = ((const struct mega_attr_log_sum *)job->c->attr)->one };
    for (int i = 0; i < MEGA_LOG_SUM_MOST; i++)
        if (job->c->in[i]) t.x[t.n++] = row_of(job->c->in[i], r);
    return t;
}

VEC_INLINE vec sum_of(const struct terms *t, int64_t j, int64_t left)
{
    vec most = t->one ? vec_all(0) : vec_get(t->x[0] + j, left);
    for (int i = t->one ? 0 : 1; i < t->n; i++)
        most = vec_max(most, vec_get(t->x[i] + j, left));
    vec sum = t->one ? vec_exp_down(-most) : vec_all(0);
    for (int i = 0; i < t->n; i++) sum += vec_exp_down(vec_get(t->x[i] + j, left) - most);
    return most + vec_log(sum);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        struct terms t = terms_of(job, r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) vec_put(y + j, sum_of(&t, j, n - j), n - j);
    }
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *y = row_of(job->c->out[0], r), *dy = row_of(job->g->out[0], r);
        for (int i = 0; i < MEGA_LOG_SUM_MOST; i++) {
            const float *x = row_of(job->c->in[i], r);
            float *dx = row_gradient(job, i, r);
            bool add = row_adds(job, i);
            for (int64_t j = 0; dx && j < n; j += VEC)
                vec_give(dx + j,
                    vec_get(dy + j, n - j) *
                        vec_exp_down(vec_get(x + j, n - j) - vec_get(y + j, n - j)),
                    add, n - j);
        }
    }
}

static int count(const struct mega_call *c)
{
    int n = 0;
    for (int i = 0; i < MEGA_LOG_SUM_MOST; i++) n += c->in[i] != NULL;
    return n;
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[0], some);
    row_lanes(&job, 6 + 5 * count(c));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[0], some_back);
    row_lanes(&job, 6 * count(c));
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_log_sum) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .forward = forward,
    .backward = backward,
    .reads_out = true };
