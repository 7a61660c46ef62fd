/* batch_norm, float32 in memory and double inside: sums over all places cancel, and before a
 * batch norm whole directions of the gradient are nothing but what remains of them.
 *
 * Both passes are the same two sweeps. With u = x forward and u = dy backward:
 *   sums S = sum u, S_x = sum u x;   then out = p u + q x + r with p, q, r of each channel:
 *   forward   p = w f, q = 0, r = b - p mean                            f = 1 / sqrt(var + eps)
 *   backward  p = w f, q = -p f sum(dy z) / n, r = -p S / n - q mean    z = (x - mean) f
 * (running statistics: q = r = 0). Kept for the backward pass: mean and f. */
#include "kernel/cpu/row_lanes.h"

enum {
    X = MEGA_BATCH_NORM_X,
    W = MEGA_BATCH_NORM_WEIGHT,
    B = MEGA_BATCH_NORM_BIAS,
    MEAN = MEGA_BATCH_NORM_MEAN,
    VAR = MEGA_BATCH_NORM_VAR
};

/* a vector of doubles and the floats that become one: half of VEC lanes */
typedef double wide __attribute__((vector_size(VEC * 4)));
typedef float narrow __attribute__((vector_size(VEC * 2)));
enum { HALF = VEC / 2 };

struct sweep {
    const struct mega_call *c;
    const mega_tensor *u, *x;
    mega_tensor *out;
    bool add;
    int64_t rows, width, groups;
    double *sums;      /* [groups, 2, room]: S and S_x */
    double *p, *q, *r; /* [room] */
    int64_t room;      /* width, whole vectors */
};

static struct sweep sweep_of(const struct mega_call *c, const mega_tensor *u)
{
    struct sweep s = { .c = c, .u = u, .x = c->in[X], .rows = mega_height(u) };
    s.width = mega_width(u);
    s.groups = s.rows / ROWS_A_GROUP;
    if (s.groups < 1) s.groups = 1;
    if (s.groups > MOST_GROUPS) s.groups = MOST_GROUPS;
    s.room = (s.width + HALF - 1) / HALF * HALF;
    size_t row = (size_t)s.room * sizeof(double);
    s.sums = mega_scratch(c->work, (size_t)s.groups * 2 * row);
    s.p = mega_scratch(c->work, row);
    s.q = mega_scratch(c->work, row);
    s.r = mega_scratch(c->work, row);
    return s;
}

VEC_INLINE wide widen(const float *p, int64_t left)
{
    narrow v = { 0 };
    if (left >= HALF)
        memcpy(&v, p, sizeof v);
    else
        for (int i = 0; i < left; i++) v[i] = p[i];
    return __builtin_convertvector(v, wide);
}

/* to = v, or to += v */
VEC_INLINE void give_narrow(float *to, wide v, bool add, int64_t left)
{
    if (add) v += widen(to, left);
    narrow n = __builtin_convertvector(v, narrow);
    if (left >= HALF)
        memcpy(to, &n, sizeof n);
    else
        for (int i = 0; i < left; i++) to[i] = n[i];
}

VEC_INLINE wide *wide_at(double *p)
{
    return (wide *)(void *)p;
}

static void sum_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct sweep *s = arg;
    double *sum = s->sums + lane * 2 * s->room, *sum_x = sum + s->room;
    memset(sum, 0, (size_t)(2 * s->room) * sizeof *sum);
    for (int64_t r = s->rows * lane / s->groups; r < s->rows * (lane + 1) / s->groups; r++) {
        const float *u = row_of(s->u, r), *x = row_of(s->x, r);
        for (int64_t j = 0, n = s->width; j < n; j += HALF) {
            wide v = widen(u + j, n - j);
            *wide_at(sum + j) += v;
            *wide_at(sum_x + j) += v * widen(x + j, n - j);
        }
    }
}

/* leaves the sums over all rows in the first group's */
static void sum_up(struct sweep *s)
{
    mega_lanes(s->c->work, s->groups, (double)(s->rows * s->width) * 2, sum_lane, s);
    for (int64_t k = 1; k < s->groups; k++)
        for (int64_t j = 0; j < 2 * s->room; j++) s->sums[j] += s->sums[k * 2 * s->room + j];
}

static void map_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct sweep *s = arg;
    int64_t from = lane * ROWS_A_LANE, to = from + ROWS_A_LANE;
    for (int64_t r = from; r < to && r < s->rows; r++) {
        const float *u = row_of(s->u, r), *x = row_of(s->x, r);
        float *out = row_of(s->out, r);
        for (int64_t j = 0, n = s->width; j < n; j += HALF) {
            wide v = *wide_at(s->p + j) * widen(u + j, n - j) +
                     *wide_at(s->q + j) * widen(x + j, n - j) + *wide_at(s->r + j);
            give_narrow(out + j, v, s->add, n - j);
        }
    }
}

static void map(struct sweep *s)
{
    mega_lanes(s->c->work, (s->rows + ROWS_A_LANE - 1) / ROWS_A_LANE,
        (double)(s->rows * s->width) * 2, map_lane, s);
}

static double parameter(const struct mega_call *c, int i, int64_t j, double none)
{
    return c->in[i] ? (double)((const float *)c->in[i]->data)[j] : none;
}

static void put_running(const struct mega_call *c, int out, int in, int64_t j, double batch)
{
    const struct mega_attr_batch_norm *a = c->attr;
    ((float *)c->out[out]->data)[j] =
        (float)((1 - a->momentum) * parameter(c, in, j, 0) + a->momentum * batch);
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] = mega_shaped(MEGA_F64, 2, 2, mega_width(c->in[X]), 0, 0);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_batch_norm *a = c->attr;
    struct sweep s = sweep_of(c, c->in[X]);
    bool train = c->mode & MEGA_RUN_TRAIN;
    double n = (double)s.rows;
    if (train) sum_up(&s);
    memset(s.q, 0, (size_t)s.room * sizeof *s.q);
    for (int64_t j = 0; j < s.width; j++) {
        double mean = parameter(c, MEAN, j, 0), var = parameter(c, VAR, j, 0);
        if (train) {
            mean = s.sums[j] / n;
            var = fmax(s.sums[s.room + j] / n - mean * mean, 0);
            put_running(c, 1, MEAN, j, mean);
            put_running(c, 2, VAR, j, var * n / (n - 1));
        }
        double f = 1 / sqrt(var + a->eps);
        s.p[j] = parameter(c, W, j, 1) * f;
        s.r[j] = parameter(c, B, j, 0) - s.p[j] * mean;
        if (!c->saved[0]) continue;
        double *kept = c->saved[0]->data;
        kept[j] = mean;
        kept[s.width + j] = f;
    }
    s.out = c->out[0];
    map(&s);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct sweep s = sweep_of(c, g->out[0]);
    const double *mean = c->saved[0]->data, *f = mean + s.width;
    double share = c->mode & MEGA_RUN_TRAIN ? 1 / (double)s.rows : 0;
    sum_up(&s);
    for (int64_t j = 0; j < s.width; j++) {
        double sum = s.sums[j], sum_z = (s.sums[s.room + j] - mean[j] * sum) * f[j];
        s.p[j] = parameter(c, W, j, 1) * f[j];
        s.q[j] = -s.p[j] * f[j] * sum_z * share;
        s.r[j] = -s.p[j] * sum * share - s.q[j] * mean[j];
        give_sum(g, W, j, sum_z);
        give_sum(g, B, j, sum);
    }
    s.out = g->in[X];
    s.add = g->add >> X & 1;
    if (s.out) map(&s);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_batch_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = rows_accept,
    .keep = keep,
    .forward = forward,
    .backward = backward };
