/* head_concat, join and reject in float32: heads and places copied, projected. */
#include "kernel/cpu/row_lanes.h"

static struct row_job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct row_job){
        .c = c, .g = g, .rows = mega_height(c->in[0]), .width = mega_width(c->in[0])
    };
}

static void give(float *to, const float *from, bool add, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) vec_give(to + j, vec_get(from + j, n - j), add, n - j);
}

/* ---- head_concat ---- */

enum { CONCAT_B = MEGA_HEAD_CONCAT_B, CONCAT_A = MEGA_HEAD_CONCAT_A };

struct widths {
    int64_t H, a, b, from, taken; /* of a head of a and of b (0: shared); what is taken */
};

static struct widths widths_of(const struct mega_call *c)
{
    const struct mega_attr_head_concat *attr = c->attr;
    int64_t b = mega_width(c->in[CONCAT_B]) / (attr->shared ? 1 : attr->heads);
    struct widths w = { .H = attr->heads, .b = attr->shared ? 0 : b, .from = attr->from };
    if (c->in[CONCAT_A]) w.a = mega_width(c->in[CONCAT_A]) / attr->heads;
    w.taken = attr->count ? attr->count : b - attr->from;
    return w;
}

static void concat_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct widths w = widths_of(job->c);
    for (int64_t r = from; r < to; r++) {
        const float *a = row_of(job->c->in[CONCAT_A], r),
                    *b = row_of(job->c->in[CONCAT_B], r) + w.from;
        float *y = row_of(job->c->out[0], r);
        for (int64_t h = 0; h < w.H; h++, b += w.b, y += w.taken) {
            give(y, a, false, w.a);
            y += w.a;
            a += w.a;
            give(y, b, false, w.taken);
        }
    }
}

/* heads of b that are taken in part leave zeros in the rest of their gradient */
static void concat_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct widths w = widths_of(job->c);
    bool add_a = row_adds(job, CONCAT_A), add_b = row_adds(job, CONCAT_B);
    int64_t all = mega_width(job->c->in[CONCAT_B]);
    for (int64_t r = from; r < to; r++) {
        const float *dy = row_of(job->g->out[0], r);
        float *da = row_gradient(job, CONCAT_A, r), *db = row_gradient(job, CONCAT_B, r);
        if (db && !add_b) memset(db, 0, (size_t)all * sizeof *db);
        for (int64_t h = 0; h < w.H; h++, dy += w.a + w.taken) {
            if (da) give(da + h * w.a, dy, add_a, w.a);
            if (db) give(db + h * w.b + w.from, dy + w.a, true, w.taken);
        }
    }
}

static void concat_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = concat_some;
    row_lanes(&job, 1);
}

static void concat_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = concat_back;
    row_lanes(&job, 1);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_concat) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = concat_forward,
    .backward = concat_backward };

/* ---- reject ---- */

enum { O = MEGA_REJECT_O, V = MEGA_REJECT_V };

/* Columns of o that belong together: whole rows, or heads. */
struct parts {
    int64_t n, d, group; /* their number of columns; of a head; heads that share a value */
};

static struct parts parts_of(const struct row_job *job)
{
    const struct mega_attr_reject *a = job->c->attr;
    struct parts p = { .d = job->width / a->heads, .group = a->heads / a->kv_heads };
    p.n = a->whole ? job->width : p.d;
    return p;
}

/* the head of values that the head at column `at` meets */
static int64_t meets(const struct parts *p, int64_t at)
{
    return at / p->d / p->group * p->d;
}

/* sum of x v over a part, of v v */
static float dot(
    const struct parts *p, const float *x, const float *v, int64_t from, float *squares)
{
    double all = 0, vv = 0; /* belief attention asks for care */
    for (int64_t at = from; at < from + p->n; at += p->d) {
        const float *own = v + meets(p, at);
        vec sum = { 0 }, square = { 0 };
        for (int64_t j = 0; j < p->d; j += VEC) {
            vec u = vec_get(own + j, p->d - j);
            sum += vec_get(x + at + j, p->d - j) * u;
            square += u * u;
        }
        all += (double)vec_sum(sum);
        vv += (double)vec_sum(square);
    }
    *squares = (float)vv;
    return (float)all;
}

static void reject_some(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct parts p = parts_of(job);
    for (int64_t r = from; r < to; r++)
        for (int64_t part = 0; part < job->width; part += p.n) {
            const float *o = row_of(job->c->in[O], r), *v = row_of(job->c->in[V], r);
            float vv, ov = dot(&p, o, v, part, &vv), share = vv > 0 ? ov / vv : 0;
            float *y = row_of(job->c->out[0], r);
            for (int64_t at = part; at < part + p.n; at += p.d)
                for (int64_t j = 0, left = p.d; j < p.d; j += VEC, left -= VEC)
                    vec_put(y + at + j,
                        vec_get(o + at + j, left) -
                            share * vec_get(v + meets(&p, at) + j, left),
                        left);
        }
}

/* do = dy - back v;  dv = 2 share back v - share dy - back o */
static void reject_back(const struct row_job *job, int64_t from, int64_t to, float *sums,
    struct mega_arena *scratch)
{
    (void)sums, (void)scratch;
    struct parts p = parts_of(job);
    bool add = row_adds(job, O), add_v = row_adds(job, V);
    int64_t values = mega_width(job->c->in[V]);
    for (int64_t r = from; r < to; r++) {
        const float *o = row_of(job->c->in[O], r), *v = row_of(job->c->in[V], r),
                    *dy = row_of(job->g->out[0], r);
        float *d_o = row_gradient(job, O, r), *dv = row_gradient(job, V, r);
        if (dv && !add_v) memset(dv, 0, (size_t)values * sizeof *dv);
        for (int64_t part = 0; part < job->width; part += p.n) {
            float vv, ov = dot(&p, o, v, part, &vv), dyv = dot(&p, dy, v, part, &vv);
            float share = vv > 0 ? ov / vv : 0, back = vv > 0 ? dyv / vv : 0;
            for (int64_t at = part; at < part + p.n; at += p.d)
                for (int64_t j = 0, left = p.d; j < p.d; j += VEC, left -= VEC) {
                    int64_t own = meets(&p, at) + j;
                    vec u = vec_get(v + own, left), d = vec_get(dy + at + j, left);
                    if (d_o) vec_give(d_o + at + j, d - back * u, add, left);
                    if (dv)
                        vec_add_to(dv + own,
                            2 * share * back * u - share * d - back * vec_get(o + at + j, left),
                            left);
                }
        }
    }
}

static void reject_forward(const struct mega_call *c)
{
    struct row_job job = job_of(c, NULL);
    job.some = reject_some;
    row_lanes(&job, 3);
}

static void reject_backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct row_job job = job_of(c, g);
    job.some = reject_back;
    row_lanes(&job, 6);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_reject) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept_half,
    .forward = reject_forward,
    .backward = reject_backward };

/* ---- join ---- */

/* Where places of the output come from: whole stretches of a, then of b. */
struct join {
    const struct mega_call *c;
    struct mega_grads *g; /* NULL: forward */
};

/* copies, or gives back, the places of one row */
static void join_lane(void *arg, int64_t b, struct mega_arena *scratch)
{
    (void)scratch;
    const struct join *j = arg;
    const struct mega_call *c = j->c;
    const struct mega_attr_join *attr = c->attr;
    int64_t n = c->out[0]->dim[1], M = c->in[MEGA_JOIN_A]->dim[1], T = c->rows->T;
    int64_t skip = attr->last ? M + mega_rows_len(c->rows, b) - attr->last : 0;
    for (int64_t t = 0, width = mega_width(c->out[0]); t < n; t++) {
        int i = t + skip < M ? MEGA_JOIN_A : MEGA_JOIN_B;
        int64_t row = i == MEGA_JOIN_A ? b * M + t + skip : b * T + t + skip - M;
        if (!j->g)
            give(row_of(c->out[0], b * n + t), row_of(c->in[i], row), false, width);
        else if (j->g->in[i])
            give(row_of(j->g->in[i], row), row_of(j->g->out[0], b * n + t), true, width);
    }
}

static void join_forward(const struct mega_call *c)
{
    struct join j = { c, NULL };
    mega_lanes(c->work, c->rows->B, (double)mega_count(c->out[0]), join_lane, &j);
}

static void join_backward(const struct mega_call *c, struct mega_grads *g)
{
    struct join j = { c, g };
    mega_grads_begin(g);
    if (!g->out[0]) return;
    mega_lanes(c->work, c->rows->B, (double)mega_count(c->out[0]), join_lane, &j);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_join) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .forward = join_forward,
    .backward = join_backward };
