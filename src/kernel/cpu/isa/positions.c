/* rotary and position_embedding in float32, angles in double (turns.h). */
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/turns.h"

/* ---- rotary ---- */

/* What turns the heads of one row: cos and sin in float32, the channels of a head. */
struct rotation {
    float *cos, *sin; /* [half] */
    double *fading;   /* [half], logarithms of xpos' bases; NULL: none */
    int64_t heads, d, half;
    int64_t first, from; /* the heads and channels that turn begin here */
    bool interleaved;
};

static struct rotation rotation_of(const struct mega_call *c, struct mega_arena *scratch)
{
    const struct mega_attr_rotary *a = c->attr;
    struct rotation n = {
        .heads = a->heads, .first = a->first, .from = a->from, .interleaved = a->interleaved
    };
    n.d = mega_width(c->in[0]) / a->heads;
    n.half = (a->dims ? a->dims : n.d - a->from) / 2;
    n.cos = mega_arena_get(scratch, 2 * (size_t)n.half * sizeof(float) + 1);
    n.sin = n.cos + n.half;
    if (a->xpos != 0) {
        n.fading = mega_arena_get(scratch, (size_t)n.half * sizeof(double) + 1);
        for (int64_t t = 0; t < n.half; t++) n.fading[t] = log(mega_fading_base(t, 2 * n.half));
    }
    return n;
}

/* pairs t and t + half */
static void turn_halves(const struct rotation *n, float *y, const float *x, bool add)
{
    for (int64_t t = 0, m = n->half; t < m; t += VEC) {
        vec c = vec_get(n->cos + t, m - t), s = vec_get(n->sin + t, m - t);
        vec u = vec_get(x + t, m - t), v = vec_get(x + m + t, m - t);
        vec_give(y + t, u * c - v * s, add, m - t);
        vec_give(y + m + t, v * c + u * s, add, m - t);
    }
}

/* pairs 2t and 2t + 1 */
static void turn_neighbours(const struct rotation *n, float *y, const float *x, bool add)
{
    for (int64_t t = 0; t < n->half; t++) {
        float c = n->cos[t], s = n->sin[t], u = x[2 * t], v = x[2 * t + 1];
        y[2 * t] = u * c - v * s + (add ? y[2 * t] : 0);
        y[2 * t + 1] = v * c + u * s + (add ? y[2 * t + 1] : 0);
    }
}

static void pass(float *y, const float *x, bool add, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) vec_give(y + j, vec_get(x + j, n - j), add, n - j);
}

static void turn_heads(const struct rotation *n, float *y, const float *x, bool add)
{
    int64_t from = n->from, end = from + 2 * n->half, still = n->first * n->d;
    pass(y, x, add, still);
    x += still;
    y += still;
    for (int64_t h = n->first; h < n->heads; h++, x += n->d, y += n->d) {
        pass(y, x, add, from);
        if (n->interleaved)
            turn_neighbours(n, y + from, x + from, add);
        else
            turn_halves(n, y + from, x + from, add);
        pass(y + end, x + end, add, n->d - end);
    }
}

static void fade(const struct rotation *n, double power)
{
    for (int64_t t = 0; t < n->half; t++) {
        float by = (float)exp(power * n->fading[t]);
        n->cos[t] *= by;
        n->sin[t] *= by;
    }
}

/* forward y from x; backward dx from dy, turned back */
static void rotary_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    const struct mega_attr_rotary *a = job->c->attr;
    const struct mega_rows *rows = job->c->rows;
    struct rotation n = rotation_of(job->c, scratch);
    struct turns turns = turns_of(scratch, 2 * n.half, a->base, a->factor);
    int64_t T = rows->T, lead = 0;
    float sign = job->g ? -1.0f : 1.0f;
    for (int64_t r = from; r < to; r++) {
        if (r == from || r % T == 0) lead = mega_position_lead(rows, r / T);
        int64_t position = mega_position(rows, r / T, r % T, lead);
        if (a->restart > 0) position %= a->restart;
        turns_to(&turns, position);
        for (int64_t t = 0; t < n.half; t++) {
            n.cos[t] = (float)turns.cos[t];
            n.sin[t] = sign * (float)turns.sin[t];
        }
        if (n.fading) fade(&n, mega_fading_power(a->xpos, position));
        if (job->g)
            turn_heads(
                &n, row_gradient(job, 0, r), row_of(job->g->out[0], r), row_adds(job, 0));
        else
            turn_heads(&n, row_of(job->c->out[0], r), row_of(job->c->in[0], r), false);
    }
}

static struct row_job rotary_job(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){ .c = c,
        .g = g,
        .rows = mega_height(c->in[0]),
        .width = mega_width(c->in[0]),
        .some = rotary_some };
}

static void rotary_forward(const struct mega_call *c)
{
    struct row_job job = rotary_job(c, NULL);
    row_lanes(&job, 2);
}

static void rotary_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[0] || nothing_arrived(c, g)) return;
    struct row_job job = rotary_job(c, g);
    row_lanes(&job, 2);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_rotary) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = rotary_forward,
    .backward = rotary_backward };

/* ---- position_embedding ---- */

enum { X = MEGA_POSITION_X, TABLE = MEGA_POSITION_TABLE, GAIN = MEGA_POSITION_GAIN };

/* e(position) of one row after the other */
struct positions {
    const struct mega_call *c;
    struct turns turns; /* of sines and cosines */
    float *wave;        /* [D] */
    int64_t lead;
};

static struct positions positions_of(const struct mega_call *c, struct mega_arena *scratch)
{
    struct positions p = { .c = c };
    int64_t D = mega_width(c->in[X]);
    if (c->in[TABLE]) return p;
    p.turns = turns_of(scratch, D, 10000, 1);
    p.wave = mega_arena_get(scratch, (size_t)D * sizeof(float) + 1);
    return p;
}

/* the position of row r, -1 beyond its len; rows come in order, the first one `begins` */
static int64_t position_at(struct positions *p, int64_t r, bool begins)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t T = rows->T, b = r / T, t = r % T;
    if (begins || t == 0) p->lead = mega_position_lead(rows, b);
    return t < mega_rows_len(rows, b) ? mega_position(rows, b, t, p->lead) : -1;
}

static const float *embedding_at(struct positions *p, int64_t position)
{
    const struct mega_attr_position_embedding *a = p->c->attr;
    if (p->c->in[TABLE]) return row_of(p->c->in[TABLE], position);
    bool halves = a->kind == MEGA_POSITION_HALVES;
    turns_to(&p->turns, position);
    for (int64_t t = 0, n = p->turns.pairs; t < n; t++) {
        p->wave[halves ? t : 2 * t] = (float)p->turns.sin[t];
        p->wave[halves ? t + n : 2 * t + 1] = (float)p->turns.cos[t];
    }
    return p->wave;
}

static float factor_of(const struct mega_call *c)
{
    const struct mega_attr_position_embedding *a = c->attr;
    return (float)a->scale * (c->in[GAIN] ? *row_of(c->in[GAIN], 0) : 1);
}

static void position_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums;
    struct positions p = positions_of(job->c, scratch);
    float factor = factor_of(job->c);
    for (int64_t r = from, n = job->width; r < to; r++) {
        int64_t position = position_at(&p, r, r == from);
        const float *x = row_of(job->c->in[X], r),
                    *e = position < 0 ? NULL : embedding_at(&p, position);
        float *y = row_of(job->c->out[0], r);
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(x + j, n - j);
            if (e) v += factor * vec_get(e + j, n - j);
            vec_put(y + j, v, n - j);
        }
    }
}

/* dx; sums[0]: of dy e, for the gain */
static void position_some_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    struct positions p = positions_of(job->c, scratch);
    bool gain = job->g->in[GAIN] != NULL;
    double total = 0;
    for (int64_t r = from, n = job->width; r < to; r++) {
        const float *dy = row_of(job->g->out[0], r), *e = NULL;
        float *dx = row_gradient(job, X, r);
        int64_t position = gain ? position_at(&p, r, r == from) : -1;
        if (position >= 0) e = embedding_at(&p, position);
        vec sum = { 0 };
        for (int64_t j = 0; j < n; j += VEC) {
            vec d = vec_get(dy + j, n - j);
            if (dx) vec_give(dx + j, d, row_adds(job, X), n - j);
            if (e) sum += d * vec_get(e + j, n - j);
        }
        total += (double)vec_sum(sum);
    }
    sums[0] = (float)total;
}

enum { COLUMNS = 32 }; /* of a lane of the table's gradient */

static void table_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct row_job *job = arg;
    struct positions p = { .c = job->c };
    float factor = factor_of(job->c);
    int64_t from = lane * COLUMNS,
            n = job->width - from < COLUMNS ? job->width - from : COLUMNS;
    if (!row_adds(job, TABLE))
        for (int64_t v = 0, P = job->g->in[TABLE]->dim[0]; v < P; v++)
            memset(row_gradient(job, TABLE, v) + from, 0, (size_t)n * sizeof(float));
    for (int64_t r = 0; r < job->rows; r++) {
        int64_t position = position_at(&p, r, r == 0);
        if (position < 0) continue;
        const float *dy = row_of(job->g->out[0], r) + from;
        float *to = row_gradient(job, TABLE, position) + from;
        for (int64_t j = 0; j < n; j += VEC)
            vec_add_to(to + j, factor * vec_get(dy + j, n - j), n - j);
    }
}

static struct row_job position_job(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){ .c = c,
        .g = g,
        .rows = mega_height(c->in[X]),
        .width = mega_width(c->in[X]),
        .some = g ? position_some_back : position_some };
}

static void position_forward(const struct mega_call *c)
{
    struct row_job job = position_job(c, NULL);
    row_lanes(&job, 1);
}

static void position_backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_position_embedding *a = c->attr;
    if (nothing_arrived(c, g)) return;
    struct row_job job = position_job(c, g);
    row_groups(&job, 1, 1);
    double sum = a->scale * (double)job.sums[0];
    if (g->in[GAIN]) give_sum(g, GAIN, 0, sum);
    if (g->in[TABLE])
        mega_lanes(c->work, (job.width + COLUMNS - 1) / COLUMNS, (double)(job.rows * job.width),
            table_lane, &job);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_position_embedding) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .forward = position_forward,
    .backward = position_backward };
