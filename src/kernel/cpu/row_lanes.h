/* What the kernels that go through rows share: lanes of rows, groups of rows that sum,
 * gradients that are written or added. */
#ifndef MEGA_KERNEL_CPU_ROW_LANES_H
#define MEGA_KERNEL_CPU_ROW_LANES_H

#include "kernel/cpu/vector.h"
#include "kernel/wide.h"
#include "op/draw.h"

enum {
    ROWS_A_LANE = 64,   /* where rows are independent */
    ROWS_A_GROUP = 512, /* at least, where a group has sums of its own */
    MOST_GROUPS = 32
};

/* One use of a kernel, and the part of its rows that a lane has. */
struct row_job {
    const struct mega_call *c;
    struct mega_grads *g; /* NULL: forward */
    int64_t rows, width;  /* of the input that it goes through */
    int64_t groups;       /* 0: independent rows */
    float *sums;          /* [groups, sums_width] */
    int64_t sums_width;
    void (*some)(const struct row_job *job, int64_t from, int64_t to, float *sums,
        struct mega_arena *scratch);
};

/* A job over the rows of x: `some` of them at a time, forward (g is NULL) or back. */
static inline struct row_job row_job_of(const struct mega_call *c, struct mega_grads *g,
    const mega_tensor *x,
    void (*some)(const struct row_job *job, int64_t from, int64_t to, float *sums,
        struct mega_arena *scratch))
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(x), .width = mega_width(x), .some = some
    };
}

static inline bool rows_are_half_(const struct mega_call *c)
{
    return c->out[0]->dtype == MEGA_BF16;
}

/* the same by way of float32, few rows at a time */
static inline void some_half_(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    for (int64_t r = from; r < to; r += ROWS_A_LANE) {
        int64_t end = r + ROWS_A_LANE < to ? r + ROWS_A_LANE : to;
        struct mega_wide w;
        struct row_job part = *job;
        mega_wide_open_rows(&w, job->c, job->g, r, end, scratch);
        part.c = &w.c;
        part.g = job->g ? &w.g : NULL;
        part.some(&part, r, end, sums, scratch);
        mega_wide_close_rows(&w);
        mega_arena_release(scratch, mark);
    }
}

static inline void row_lane_(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct row_job *job = arg;
    int64_t from = lane * ROWS_A_LANE, to = from + ROWS_A_LANE;
    float *sums = NULL;
    if (job->groups) {
        from = job->rows * lane / job->groups;
        to = job->rows * (lane + 1) / job->groups;
        sums = job->sums + lane * job->sums_width;
        memset(sums, 0, (size_t)job->sums_width * sizeof *sums);
    }
    if (to > job->rows) to = job->rows;
    (rows_are_half_(job->c) ? some_half_ : job->some)(job, from, to, sums, scratch);
}

/* `cost`: vector operations on an element */
static inline void row_lanes(struct row_job *job, double cost)
{
    int64_t lanes = job->groups ? job->groups : (job->rows + ROWS_A_LANE - 1) / ROWS_A_LANE;
    mega_lanes(job->c->work, lanes, (double)(job->rows * job->width) * cost, row_lane_, job);
}

/* The same over groups with `n` sums each; afterwards the sums of all groups, in order, stand
 * in job->sums[0 ... n-1]. */
static inline void row_groups(struct row_job *job, int64_t n, double cost)
{
    job->groups = job->rows / ROWS_A_GROUP;
    if (job->groups < 1) job->groups = 1;
    if (job->groups > MOST_GROUPS) job->groups = MOST_GROUPS;
    job->sums_width = (n + 15) / 16 * 16;
    job->sums =
        mega_scratch(job->c->work, (size_t)(job->groups * job->sums_width) * sizeof(float));
    row_lanes(job, cost);
    for (int64_t k = 1; k < job->groups; k++)
        for (int64_t j = 0; j < n; j++) job->sums[j] += job->sums[k * job->sums_width + j];
}

static inline float *row_of(const mega_tensor *t, int64_t row)
{
    return t ? (float *)t->data + row * t->stride : NULL;
}

/* Row `row` of the gradient of input i, or NULL; whether it is added to. */
static inline float *row_gradient(const struct row_job *job, int i, int64_t row)
{
    return row_of(job->g->in[i], row);
}

static inline bool row_adds(const struct row_job *job, int i)
{
    return job->g->add >> i & 1;
}

/* to = v, or to += v */
VEC_INLINE void vec_give(float *to, vec v, bool add, int64_t left)
{
    vec_put(to, add ? vec_get(to, left) + v : v, left);
}

VEC_INLINE void vec_add_to(float *to, vec v, int64_t left)
{
    vec_put(to, vec_get(to, left) + v, left);
}

/* Writes or adds n sums to the gradient of input i, a parameter of n numbers in rows of
 * `width`. */
static inline void give_sums(const struct row_job *job, int i, const float *sums, int64_t n)
{
    mega_tensor *g = job->g->in[i];
    if (!g) return;
    for (int64_t j = 0, width = mega_width(g); j < n; j++) {
        float *to = row_of(g, j / width) + j % width;
        *to = row_adds(job, i) ? *to + sums[j] : sums[j];
    }
}

/* Writes or adds one sum to number j of the gradient of input i, a dense parameter. */
static inline void give_sum(struct mega_grads *g, int i, int64_t j, double sum)
{
    if (!g->in[i]) return;
    float *to = (float *)g->in[i]->data + j;
    *to = (float)(sum + (g->add >> i & 1 ? (double)*to : 0));
}

/* Every tensor of the call that there is holds float32. */
static inline bool rows_accept(const struct mega_call *c, const char **why)
{
    *why = "float32 only";
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    for (int i = 0; i < MEGA_OUT; i++)
        if (c->out[i] && c->out[i]->dtype != MEGA_F32) return false;
    return true;
}

/* The same, or activations in bfloat16 that all have the rows of in[0]: for kernels whose
 * `some` finds all that it needs in the job. */
static inline bool rows_accept_half(const struct mega_call *c, const char **why)
{
    if (c->in[0]->dtype != MEGA_BF16 || c->out[0]->dtype != MEGA_BF16)
        return rows_accept(c, why);
    *why = "activations of other rows or types";
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_BF16 && c->in[i]->dtype != MEGA_F32)
            return false;
    return mega_wide_by_rows(c, mega_height(c->in[0]));
}

/* With nothing to go back from, the gradients are zero. */
static inline bool nothing_arrived(const struct mega_call *c, struct mega_grads *g)
{
    for (int i = 0; i < c->op->n_out; i++)
        if (g->out[i]) return false;
    mega_grads_begin(g);
    return true;
}

/* Where the draws of a row of activations begin (see vector_draw.h). */
#define ROW_DRAWS(c, p, kind, row)                                                             \
    mega_draw_channels(mega_draw_key(c), mega_rows_number((c)->rows, (row) / (c)->rows->T),    \
        (kind) == MEGA_DROPOUT_FEATURES                                                        \
            ? 0                                                                                \
            : mega_rows_place((c)->rows, (row) / (c)->rows->T) + (row) % (c)->rows->T,         \
        p)

#endif
