/* activation, add, concat, dropout and mask in float32: rows that know nothing of each other.
 */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/rows.h"
#include "kernel/cpu/vector_draw.h"
#include "kernel/cpu/vector_math.h"

typedef void some_fn(const struct row_job *, int64_t, int64_t, float *, struct mega_arena *);

static void run(const struct mega_call *c, struct mega_grads *g, some_fn *some, double cost)
{
    if (g && nothing_arrived(c, g)) return;
    struct row_job job = { .c = c,
        .g = g,
        .rows = mega_height(c->in[0]),
        .width = mega_width(c->in[0]),
        .some = some };
    row_lanes(&job, cost);
}

#define KERNEL(op, some, some_back, cost)                                                      \
    static void op##_forward(const struct mega_call *c)                                        \
    {                                                                                          \
        run(c, NULL, some, cost);                                                              \
    }                                                                                          \
    static void op##_backward(const struct mega_call *c, struct mega_grads *g)                 \
    {                                                                                          \
        run(c, g, some_back, cost);                                                            \
    }                                                                                          \
    const struct mega_kernel MEGA_ISA_NAME(mega_cpu_##op) = { .name = MEGA_ISA_TEXT,           \
        .accepts = rows_accept_half,                                                           \
        .forward = op##_forward,                                                               \
        .backward = op##_backward };

/* ---- activation ---- */

static void act_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    enum mega_act act = ((const struct mega_attr_activation *)job->c->attr)->act;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[0], r);
        float *y = row_of(job->c->out[0], r);
#define LOOP(a)                                                                                \
    for (int64_t j = 0; j < n; j += VEC)                                                       \
    vec_put(y + j, vec_act(a, vec_get(x + j, n - j)), n - j)
        VEC_EACH_ACT(act, LOOP)
#undef LOOP
    }
}

static void act_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    enum mega_act act = ((const struct mega_attr_activation *)job->c->attr)->act;
    bool add = row_adds(job, 0);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[0], r), *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, 0, r);
        if (!dx) return;
#define LOOP(a)                                                                                \
    for (int64_t j = 0; j < n; j += VEC)                                                       \
    vec_give(dx + j, vec_get(dy + j, n - j) * vec_act_jet(a, vec_get(x + j, n - j)).slope,     \
        add, n - j)
        VEC_EACH_ACT(act, LOOP)
#undef LOOP
    }
}

KERNEL(activation, act_some, act_some_back, 4)

/* ---- add ---- */

static void add_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *a = row_of(job->c->in[0], r), *b = row_of(job->c->in[1], r);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC)
            vec_put(y + j, vec_get(a + j, n - j) + vec_get(b + j, n - j), n - j);
    }
}

static void add_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int i = 0; i < 2; i++)
        for (int64_t r = from, n = job->width; job->g->in[i] && r < to; r++) {
            const float *dy = row_of(job->g->out[0], r);
            float *d = row_gradient(job, i, r);
            for (int64_t j = 0; j < n; j += VEC)
                vec_give(d + j, vec_get(dy + j, n - j), row_adds(job, i), n - j);
        }
}

KERNEL(add, add_some, add_some_back, 1)

/* ---- concat ---- */

static void concat_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    const mega_tensor *a = job->c->in[0], *b = job->c->in[1];
    int64_t n = job->width, m = mega_width(b);
    for (int64_t r = from; r < to; r++) {
        float *y = row_of(job->c->out[0], r);
        memcpy(y, row_of(a, r), (size_t)n * sizeof *y);
        memcpy(y + n, row_of(b, r), (size_t)m * sizeof *y);
    }
}

static void concat_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    for (int i = 0; i < 2; i++)
        for (int64_t r = from, n = mega_width(job->c->in[i]); job->g->in[i] && r < to; r++) {
            const float *dy = row_of(job->g->out[0], r) + (i ? job->width : 0);
            float *d = row_gradient(job, i, r);
            for (int64_t j = 0; j < n; j += VEC)
                vec_give(d + j, vec_get(dy + j, n - j), row_adds(job, i), n - j);
        }
}

KERNEL(concat, concat_some, concat_some_back, 1)

/* ---- dropout ---- */

/* the row's factors in `room`; NULL where nothing drops */
static const float *factors(const struct row_job *job, int64_t r, float *room)
{
    const struct mega_attr_dropout *a = job->c->attr;
    if (!mega_dropout_acts(job->c, a->p)) return NULL;
    struct mega_draw_row d = ROW_DRAWS(job->c, a->p, a->kind, r);
    vec_draw_row(room, &d, 0, job->width);
    return room;
}

static void drop_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    float *room = mega_arena_get(scratch, (size_t)job->width * sizeof *room);
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *x = row_of(job->c->in[0], r), *m = factors(job, r, room);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(x + j, n - j);
            vec_put(y + j, m ? v * vec_get(m + j, n - j) : v, n - j);
        }
    }
}

static void drop_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    float *room = mega_arena_get(scratch, (size_t)job->width * sizeof *room);
    bool add = row_adds(job, 0);
    for (int64_t r = from, n = job->width; job->g->in[0] && r < to; r++) {
        const float *dy = row_of(job->g->out[0], r), *m = factors(job, r, room);
        float *dx = row_gradient(job, 0, r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(dy + j, n - j);
            vec_give(dx + j, m ? v * vec_get(m + j, n - j) : v, add, n - j);
        }
    }
}

KERNEL(dropout, drop_some, drop_some_back, 4)

/* ---- mask ---- */

static bool is_real(const struct row_job *job, int64_t r)
{
    const struct mega_rows *rows = job->c->rows;
    return mega_rows_real(rows, r / rows->T, r % rows->T);
}

static void mask_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    size_t size = (size_t)job->width * sizeof(float);
    for (int64_t r = from; r < to; r++) {
        if (is_real(job, r))
            memcpy(row_of(job->c->out[0], r), row_of(job->c->in[0], r), size);
        else
            memset(row_of(job->c->out[0], r), 0, size);
    }
}

static void mask_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    bool add = row_adds(job, 0);
    for (int64_t r = from, n = job->width; job->g->in[0] && r < to; r++) {
        const float *dy = row_of(job->g->out[0], r);
        float *dx = row_gradient(job, 0, r);
        bool real = is_real(job, r);
        if (!real && add) continue;
        for (int64_t j = 0; j < n; j += VEC)
            vec_give(dx + j, real ? vec_get(dy + j, n - j) : (vec){ 0 }, add, n - j);
    }
}

KERNEL(mask, mask_some, mask_some_back, 1)
