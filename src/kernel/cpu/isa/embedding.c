/* embedding, number_embedding and pool in float32; embedding and pool take activations of
 * bfloat16, too, a row at a time. The gradient of the table is summed by lanes of columns, each
 * walking all places in their order. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { TABLE = MEGA_EMBEDDING_TABLE, TOKENS = MEGA_EMBEDDING_TOKENS };

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "a table of float32, activations of float32 or bfloat16";
    return c->in[TABLE]->dtype == MEGA_F32 && (c->out[0]->dtype == MEGA_F32 || is_half(c));
}

/* room for a row on its way from or to bfloat16; NULL: none is needed */
static float *row_room(bool half, int64_t width, struct mega_arena *scratch)
{
    return half ? mega_arena_get(scratch, (size_t)width * sizeof(float)) : NULL;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    const struct mega_attr_embedding *a = job->c->attr;
    const int32_t *token = job->c->in[TOKENS]->data;
    float *room = row_room(is_half(job->c), job->width, scratch);
    for (int64_t r = from, n = job->width; r < to; r++) {
        void *out = mega_row(job->c->out[0], r);
        float *y = room ? room : out;
        if (token[r] < 0)
            memset(y, 0, (size_t)n * sizeof *y);
        else
            row_functions->scale(y, row_of(job->c->in[TABLE], token[r]), (float)a->scale, n);
        if (room) row_functions->narrow(out, room, n);
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = { .c = c,
        .rows = mega_count(c->in[TOKENS]),
        .width = mega_width(c->in[TABLE]),
        .some = some };
    row_lanes(&job, 1);
}

enum { COLUMNS = 32 }; /* of a lane */

static void table_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct row_job *job = arg;
    const struct mega_attr_embedding *a = job->c->attr;
    const int32_t *token = job->c->in[TOKENS]->data;
    float *room = row_room(is_half(job->c), COLUMNS, scratch);
    int64_t from = lane * COLUMNS,
            n = job->width - from < COLUMNS ? job->width - from : COLUMNS;
    float scale = (float)a->scale;
    if (!row_adds(job, TABLE))
        for (int64_t v = 0, V = job->g->in[TABLE]->dim[0]; v < V; v++)
            memset(row_gradient(job, TABLE, v) + from, 0, (size_t)n * sizeof(float));
    for (int64_t r = 0; r < job->rows; r++) {
        if (token[r] < 0 || token[r] == a->pad) continue;
        const mega_tensor *g = job->g->out[0];
        const float *dy = room ? room : row_of(g, r) + from;
        if (room) row_functions->widen(room, (const uint16_t *)mega_row(g, r) + from, n);
        float *to = row_gradient(job, TABLE, token[r]) + from;
        for (int64_t j = 0; j < n; j += VEC)
            vec_add_to(to + j, vec_get(dy + j, n - j) * scale, n - j);
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[TABLE] || nothing_arrived(c, g)) return;
    struct row_job job = {
        .c = c, .g = g, .rows = mega_count(c->in[TOKENS]), .width = mega_width(c->in[TABLE])
    };
    mega_lanes(c->work, (job.width + COLUMNS - 1) / COLUMNS, (double)(job.rows * job.width),
        table_lane, &job);
    bool used = false;
    for (int64_t r = 0; r < job.rows && !used; r++)
        used = ((const int32_t *)c->in[TOKENS]->data)[r] >= 0;
    if (!used) g->touched &= ~(1u << TABLE);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_embedding) = {
    .name = MEGA_ISA_TEXT, .accepts = accepts, .forward = forward, .backward = backward
};

/* ---- number_embedding: y = x w + b for a number x ---- */

enum { NUMBER = MEGA_NUMBER_X, WEIGHT = MEGA_NUMBER_WEIGHT, BIAS = MEGA_NUMBER_BIAS };

/* number r of x [B, T], or its gradient's place */
static float *number_of(const mega_tensor *t, int64_t r)
{
    int64_t T = mega_width(t);
    return row_of(t, r / T) + r % T;
}

static void number_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const float *w = row_of(job->c->in[WEIGHT], 0), *b = row_of(job->c->in[BIAS], 0);
    for (int64_t r = from, n = job->width; r < to; r++) {
        float x = *number_of(job->c->in[NUMBER], r), *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC)
            vec_put(y + j, x * vec_get(w + j, n - j) + vec_get(b + j, n - j), n - j);
    }
}

/* sums: d weight [n], d bias [n] */
static void number_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)scratch;
    const float *w = row_of(job->c->in[WEIGHT], 0);
    for (int64_t r = from, n = job->width; r < to; r++) {
        float x = *number_of(job->c->in[NUMBER], r), *dx = NULL;
        if (job->g->in[NUMBER]) dx = number_of(job->g->in[NUMBER], r);
        const float *dy = row_of(job->g->out[0], r);
        vec sum = { 0 };
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(dy + j, n - j);
            vec_add_to(sums + j, d * x, n - j);
            vec_add_to(sums + n + j, d, n - j);
            sum += d * vec_get(w + j, n - j);
        }
        if (dx) *dx = vec_sum(sum) + (row_adds(job, NUMBER) ? *dx : 0);
    }
}

static struct row_job number_job(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){ .c = c,
        .g = g,
        .rows = mega_count(c->in[NUMBER]),
        .width = mega_count(c->in[WEIGHT]),
        .some = g ? number_some_back : number_some };
}

static void number_forward(const struct mega_call *c)
{
    struct row_job job = number_job(c, NULL);
    row_lanes(&job, 1);
}

static void number_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = number_job(c, g);
    row_groups(&job, 2 * job.width, 4);
    give_sums(&job, WEIGHT, job.sums, job.width);
    give_sums(&job, BIAS, job.sums + job.width, job.width);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_number_embedding) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .forward = number_forward,
    .backward = number_backward };

/* ---- pool ---- */

static float weight(const struct mega_call *c, int64_t b, int64_t t)
{
    const struct mega_attr_pool *a = c->attr;
    int64_t len = mega_rows_len(c->rows, b);
    if (a->kind == MEGA_POOL_FIRST) return t == 0;
    return len > 0 ? 1 / (float)len : 0;
}

static bool pool_accepts(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->in[0]->dtype;
    *why = "activations of float32 or bfloat16";
    return (type == MEGA_F32 || type == MEGA_BF16) && c->out[0]->dtype == MEGA_F32;
}

/* sums in double: a row may be long */
static void pool_lane(void *arg, int64_t b, struct mega_arena *scratch)
{
    const struct row_job *job = arg;
    int64_t T = job->c->rows->T, n = job->width;
    double *sum = mega_arena_zeroed(scratch, (size_t)n * sizeof *sum);
    float *room = row_room(job->c->in[0]->dtype == MEGA_BF16, n, scratch);
    for (int64_t t = 0; t < T; t++) {
        const void *row = mega_row(job->c->in[0], b * T + t);
        const float *x = room ? room : row;
        double w = (double)weight(job->c, b, t);
        if (room && w > 0) row_functions->widen(room, row, n);
        if (w > 0)
            for (int64_t j = 0; j < n; j++) sum[j] += w * (double)x[j];
    }
    float *y = row_of(job->c->out[0], b);
    for (int64_t j = 0; j < n; j++) y[j] = (float)sum[j];
}

static void pool_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    int64_t T = job->c->rows->T;
    float *room = row_room(job->c->in[0]->dtype == MEGA_BF16, job->width, scratch);
    bool add = row_adds(job, 0);
    for (int64_t r = from, n = job->width; job->g->in[0] && r < to; r++) {
        const float *dy = row_of(job->g->out[0], r / T);
        void *to_row = mega_row(job->g->in[0], r);
        float *dx = room ? room : to_row, w = weight(job->c, r / T, r % T);
        for (int64_t j = 0; j < n; j += VEC)
            vec_give(dx + j, vec_get(dy + j, n - j) * w, add && !room, n - j);
        if (room) (add ? row_functions->narrow_add : row_functions->narrow)(to_row, room, n);
    }
}

static void pool_forward(const struct mega_call *c)
{
    struct row_job job = {
        .c = c, .rows = mega_height(c->in[0]), .width = mega_width(c->in[0])
    };
    mega_lanes(c->work, c->rows->B, (double)(job.rows * job.width), pool_lane, &job);
}

static void pool_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = { .c = c,
        .g = g,
        .rows = mega_height(c->in[0]),
        .width = mega_width(c->in[0]),
        .some = pool_some_back };
    row_lanes(&job, 1);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_pool) = { .name = MEGA_ISA_TEXT,
    .accepts = pool_accepts,
    .forward = pool_forward,
    .backward = pool_backward };
