/* head_norm in float32, VEC groups of channels at a time: what a group adds up to is a lane, so
 * that adding up, roots and quotients are those of all of them together. Nothing is kept: the
 * sums are cheaper to take again than to read. */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_sums.h"

enum { X = MEGA_HEAD_NORM_X, W = MEGA_HEAD_NORM_WEIGHT };

static int64_t group_width(const struct row_job *job)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    return job->width / (a->heads * (a->groups > 0 ? a->groups : 1));
}

/* From squares of groups of n: what they are multiplied by; *share: of the part along x that
 * their gradients lose. */
VEC_INLINE vec factors_of(const struct row_job *job, vec squares, int64_t n, vec *share)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    float least = (float)a->eps;
    bool rms = a->kind == MEGA_HEAD_NORM_RMS;
    vec root;
    if (rms) squares = squares * (1 / (float)n) + least;
    for (int i = 0; i < VEC; i++) root[i] = sqrtf(squares[i]);
    *share = rms ? vec_all(1 / (float)n) : vec_where(root >= least, vec_all(1));
    return 1.0f / (rms ? root : vec_max(root, vec_all(least)));
}

VEC_INLINE vec gain(const struct row_job *job, int64_t j, int64_t left)
{
    const struct mega_attr_head_norm *a = job->c->attr;
    const mega_tensor *w = job->c->in[W];
    if (!w) return vec_all(1);
    return vec_get((const float *)w->data + j, left) + (a->unit_offset ? 1.0f : 0.0f);
}

/* The rows that VEC groups make, or one row: few, so that what is looked at twice is still in
 * the nearest cache. Their groups are counted through, row by row. */
struct tile {
    int64_t r, rows, n, groups; /* first row; channels of a group, groups of a row */
    vec *squares, *products;    /* [numbers] of each group, not added up yet */
    float *factor, *along;      /* [numbers] */
};

static struct tile tile_of(const struct row_job *job, struct mega_arena *scratch)
{
    struct tile t = { .n = group_width(job) };
    t.groups = job->width / t.n;
    t.rows = (VEC + t.groups - 1) / t.groups;
    int64_t numbers = (t.rows * t.groups + VEC - 1) / VEC * VEC;
    size_t bytes = (size_t)numbers * 2 * (sizeof(vec) + sizeof(float));
    t.squares = mega_arena_get(scratch, bytes);
    memset(t.squares, 0, bytes);
    t.products = t.squares + numbers;
    t.factor = (float *)(t.products + numbers);
    t.along = t.factor + numbers;
    return t;
}

static void norm_row(const struct row_job *job, const struct tile *t, int64_t i)
{
    const float *x = row_of(job->c->in[X], t->r + i), *f = t->factor + i * t->groups;
    float *y = row_of(job->c->out[0], t->r + i);
    for (int64_t g = 0; g < t->groups; g++)
        for (int64_t j = 0; j < t->n; j += VEC) {
            int64_t at = g * t->n + j, left = t->n - j;
            vec_put(y + at, vec_get(x + at, left) * f[g] * gain(job, at, left), left);
        }
}

static void look(const struct row_job *job, const struct tile *t, int64_t i)
{
    const float *x = row_of(job->c->in[X], t->r + i);
    for (int64_t g = 0; g < t->groups; g++, x += t->n) {
        vec squares = { 0 };
        for (int64_t j = 0; j < t->n; j += VEC) {
            vec v = vec_get(x + j, t->n - j);
            squares += v * v;
        }
        t->squares[i * t->groups + g] = squares;
    }
}

static void norm_tile(const struct row_job *job, const struct tile *t)
{
    vec share;
    for (int64_t i = 0; i < t->rows; i++) look(job, t, i);
    for (int64_t k = 0; k < t->rows * t->groups; k += VEC)
        vec_store(t->factor + k, factors_of(job, vec_sums(t->squares + k), t->n, &share));
    for (int64_t i = 0; i < t->rows; i++) norm_row(job, t, i);
}

/* squares and, with e = dy w, products e x of row i */
static void look_back(const struct row_job *job, const struct tile *t, int64_t i)
{
    const float *x = row_of(job->c->in[X], t->r + i), *dy = row_of(job->g->out[0], t->r + i);
    for (int64_t g = 0; g < t->groups; g++) {
        vec squares = { 0 }, products = { 0 };
        for (int64_t j = 0; j < t->n; j += VEC) {
            int64_t at = g * t->n + j, left = t->n - j;
            vec v = vec_get(x + at, left);
            squares += v * v;
            products += vec_get(dy + at, left) * gain(job, at, left) * v;
        }
        t->squares[i * t->groups + g] = squares;
        t->products[i * t->groups + g] = products;
    }
}

/* with z = x f: dx = f (e - z along), along = share sum(e z); sums: d weight */
static void back_row(const struct row_job *job, const struct tile *t, int64_t i, float *sums)
{
    const float *x = row_of(job->c->in[X], t->r + i), *dy = row_of(job->g->out[0], t->r + i),
                *f = t->factor + i * t->groups, *along = t->along + i * t->groups;
    float *dx = row_gradient(job, X, t->r + i);
    bool add = row_adds(job, X), weighted = job->c->in[W] != NULL;
    for (int64_t g = 0; g < t->groups; g++)
        for (int64_t j = 0; j < t->n; j += VEC) {
            int64_t at = g * t->n + j, left = t->n - j;
            vec z = vec_get(x + at, left) * f[g], d = vec_get(dy + at, left);
            if (weighted) vec_add_to(sums + at, d * z, left);
            if (dx)
                vec_give(dx + at, f[g] * (d * gain(job, at, left) - z * along[g]), add, left);
        }
}

static void back_tile(const struct row_job *job, const struct tile *t, float *sums)
{
    for (int64_t i = 0; i < t->rows; i++) look_back(job, t, i);
    for (int64_t k = 0; k < t->rows * t->groups; k += VEC) {
        vec share, f = factors_of(job, vec_sums(t->squares + k), t->n, &share);
        vec_store(t->factor + k, f);
        vec_store(t->along + k, share * (f * vec_sums(t->products + k)));
    }
    for (int64_t i = 0; i < t->rows; i++) back_row(job, t, i, sums);
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    struct tile t = tile_of(job, scratch);
    for (t.r = from; t.r < to; t.r += t.rows) {
        if (t.rows > to - t.r) t.rows = to - t.r;
        if (job->g)
            back_tile(job, &t, sums);
        else
            norm_tile(job, &t);
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[X], some);
    row_lanes(&job, 3);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[X], some);
    row_groups(&job, job.width, 6);
    give_sums(&job, W, job.sums, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_norm) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
