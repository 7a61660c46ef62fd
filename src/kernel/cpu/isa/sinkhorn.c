/* sinkhorn in float32, VEC matrices at a time, one a lane of a vector. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_math.h"

/* all steps of VEC rows: step 0 after the softmax of columns, then two a round */
struct walk {
    int64_t n, rounds;
    vec *at; /* [2 rounds + 1][n n] */
};

/* n lines of n numbers, number i of line l at l * line + i * next */
struct lines {
    int64_t n, line, next;
};

static struct lines lines_of(int64_t n, bool columns)
{
    return columns ? (struct lines){ n, 1, n } : (struct lines){ n, n, 1 };
}

/* step k divides rows, then columns */
static struct lines lines_of_step(const struct walk *w, int64_t k)
{
    return lines_of(w->n, k % 2 == 1);
}

static void divide(struct lines s, const vec *from, vec *to)
{
    for (int64_t l = 0; l < s.n; l++) {
        vec sum = { 0 };
        for (int64_t i = 0; i < s.n; i++) sum += from[l * s.line + i * s.next];
        for (int64_t i = 0; i < s.n; i++)
            to[l * s.line + i * s.next] = from[l * s.line + i * s.next] / sum;
    }
}

/* a vector of numbers j of the rows from r on; lanes behind the last row repeat it */
static vec gather(const mega_tensor *t, int64_t r, int64_t to, int64_t j)
{
    vec v;
    for (int i = 0; i < VEC; i++) v[i] = row_of(t, least(r + i, to - 1))[j];
    return v;
}

static void walk_there(const struct row_job *job, struct walk *w, int64_t r, int64_t to)
{
    struct lines s = lines_of(w->n, true);
    int64_t size = w->n * w->n;
    vec *first = w->at;
    for (int64_t j = 0; j < size; j++) first[j] = gather(job->c->in[0], r, to, j);
    for (int64_t l = 0; l < s.n; l++) {
        vec most = first[l * s.line];
        for (int64_t i = 1; i < s.n; i++) most = vec_max(most, first[l * s.line + i * s.next]);
        for (int64_t i = 0; i < s.n; i++) {
            vec *x = &first[l * s.line + i * s.next];
            *x = vec_exp_down(*x - most);
        }
    }
    divide(s, first, first);
    for (int64_t k = 0; k < 2 * w->rounds; k++)
        divide(lines_of_step(w, k), w->at + k * size, w->at + (k + 1) * size);
}

static struct walk walk_of(const struct row_job *job, struct mega_arena *scratch)
{
    const struct mega_attr_sinkhorn *a = job->c->attr;
    struct walk w = { a->size, a->rounds, NULL };
    size_t bytes = (size_t)((2 * w.rounds + 2) * w.n * w.n) * sizeof(vec);
    w.at = mega_arena_get(scratch, bytes);
    return w;
}

static void some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    struct walk w = walk_of(job, scratch);
    const vec *last = w.at + 2 * w.rounds * w.n * w.n;
    for (int64_t r = from; r < to; r += VEC) {
        walk_there(job, &w, r, to);
        for (int64_t j = 0; j < job->width; j++)
            for (int i = 0; i < VEC && r + i < to; i++)
                row_of(job->c->out[0], r + i)[j] = last[j][i];
    }
}

/* y = x / sum: dx = (dy - y.dy) / sum along a line; x NULL: y is a softmax of x, and
 * dx = y (dy - y.dy) */
static void divide_back(struct lines s, const vec *x, const vec *y, vec *d)
{
    for (int64_t l = 0; l < s.n; l++) {
        vec sum = { 0 }, along = { 0 };
        for (int64_t i = 0, at = l * s.line; i < s.n; i++, at += s.next) {
            along += d[at] * y[at];
            if (x) sum += x[at];
        }
        for (int64_t i = 0, at = l * s.line; i < s.n; i++, at += s.next)
            d[at] = x ? (d[at] - along) / sum : y[at] * (d[at] - along);
    }
}

static void some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    struct walk w = walk_of(job, scratch);
    int64_t size = w.n * w.n;
    vec *d = w.at + (2 * w.rounds + 1) * size;
    bool add = row_adds(job, 0);
    for (int64_t r = from; r < to; r += VEC) {
        walk_there(job, &w, r, to);
        for (int64_t j = 0; j < size; j++) d[j] = gather(job->g->out[0], r, to, j);
        for (int64_t k = 2 * w.rounds - 1; k >= 0; k--)
            divide_back(lines_of_step(&w, k), w.at + k * size, w.at + (k + 1) * size, d);
        divide_back(lines_of(w.n, true), NULL, w.at, d);
        for (int64_t j = 0; j < size; j++)
            for (int i = 0; i < VEC && r + i < to; i++) {
                float *dx = row_gradient(job, 0, r + i) + j;
                *dx = add ? *dx + d[j][i] : d[j][i];
            }
    }
}

static void forward(const struct mega_call *c)
{
    struct row_job job = row_job_of(c, NULL, c->in[0], some);
    row_lanes(&job, 40);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[0] || nothing_arrived(c, g)) return;
    struct row_job job = row_job_of(c, g, c->in[0], some_back);
    row_lanes(&job, 80);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_sinkhorn) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept_half, .forward = forward, .backward = backward
};
