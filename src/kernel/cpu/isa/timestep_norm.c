/* timestep_norm in float32: a lane is a block of groups of one row, walked along time in one
 * pass. Mean and variance are sums with compensation (Kahan, 1965), which keeps what places
 * add long after the sums have grown. Kept for the backward pass: u and 1 / sqrt(v + eps) of
 * each place and group. */
#include "kernel/cpu/row_lanes.h"

enum {
    X = MEGA_TIMESTEP_NORM_X,
    W = MEGA_TIMESTEP_NORM_WEIGHT,
    B = MEGA_TIMESTEP_NORM_BIAS,
    PRIOR_MEAN = MEGA_TIMESTEP_NORM_PRIOR_MEAN,
    PRIOR_LOGV = MEGA_TIMESTEP_NORM_PRIOR_LOGV,
    COUNT = MEGA_TIMESTEP_NORM_COUNT,
    MEAN = MEGA_TIMESTEP_NORM_MEAN,
    VAR = MEGA_TIMESTEP_NORM_VAR
};
enum { GROUPS = 8 }; /* of a lane */

#define FLOOR_OF_MEANS 1e-6f /* the least variance of the port's statistics */

/* a loop over all groups, used or not */
#define EACH_GROUP(g) for (int g = 0; g < GROUPS; g++)

/* ---- a lane's share ---- */

/* What a lane works on: groups first ... first+n-1 of one row of the batch. */
struct share {
    const struct mega_call *c;
    const struct mega_attr_timestep_norm *a;
    int64_t b, first, T, size, channel; /* size: channels of a group; channel: the first */
    int n;
    float eps;
    bool means; /* the port's statistics */
};

static int64_t blocks_of(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    return (a->groups + GROUPS - 1) / GROUPS;
}

static struct share share_of(const struct mega_call *c, int64_t lane)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    int64_t blocks = blocks_of(c);
    struct share s = { .c = c, .a = a, .b = lane / blocks, .first = lane % blocks * GROUPS };
    s.T = c->in[X]->dim[1];
    s.size = c->in[X]->dim[2] / a->groups;
    s.channel = s.first * s.size;
    s.n = a->groups - s.first < GROUPS ? (int)(a->groups - s.first) : GROUPS;
    s.eps = (float)a->eps;
    s.means = a->kind == MEGA_TIMESTEP_NORM_MEANS;
    return s;
}

static float *place_in(const struct share *s, const mega_tensor *t, int64_t place)
{
    return t ? row_of(t, s->b * s->T + place) + s->channel : NULL;
}

static bool begins_at(const struct share *s, int64_t t)
{
    const struct mega_rows *rows = s->c->rows;
    return rows->doc && t < mega_rows_len(rows, s->b) && rows->doc[s->b * s->T + t] == t;
}

static bool real_at(const struct share *s, int64_t t)
{
    return mega_rows_real(s->c->rows, s->b, t);
}

static bool takes_state(const struct share *s)
{
    return s->c->in[COUNT] && !mega_rows_fresh(s->c->rows, s->b) && !begins_at(s, 0);
}

/* places that the statistics which come in count */
static int64_t count_of(const struct share *s)
{
    return ((const int32_t *)s->c->in[COUNT]->data)[s->b];
}

/* ---- statistics ---- */

/* n, u, v so far, and what their sums have lost; with the port's means v is M. r: 1 / sqrt(v +
 * eps) */
struct statistics {
    int64_t n;
    float u[GROUPS], v[GROUPS], lost_u[GROUPS], lost_v[GROUPS], r[GROUPS];
};

static int64_t at_least_one(int64_t n)
{
    return n > 1 ? n : 1;
}

static float variance(const struct share *s, const struct statistics *now, int g)
{
    if (!s->means) return now->v[g];
    float v = now->v[g] / (float)at_least_one(now->n);
    return v > FLOOR_OF_MEANS ? v : FLOOR_OF_MEANS;
}

static void set_factors(const struct share *s, struct statistics *now)
{
    EACH_GROUP(g) now->r[g] = 1 / sqrtf(variance(s, now, g) + s->eps);
}

/* as a row or a document starts; NULL: mean 0, variance 1 */
static void start(const struct share *s, struct statistics *now, int64_t n, const float *mean,
    const float *variance_of_start)
{
    *now = (struct statistics){ .n = n };
    for (int g = 0; g < s->n; g++) {
        now->u[g] = mean ? mean[s->first + g] : 0;
        now->v[g] = variance_of_start ? variance_of_start[s->first + g] : 1;
        /* without places before it the variance counts for nothing: 1 would cost digits */
        if (s->means)
            now->v[g] *= (float)at_least_one(n);
        else if (n == 0)
            now->v[g] = 0;
    }
    set_factors(s, now);
}

static void start_fresh(const struct share *s, struct statistics *now, const float *prior_var)
{
    start(s, now, s->a->prior_count, row_of(s->c->in[PRIOR_MEAN], 0), prior_var);
    if (s->a->prior_count <= 0) start(s, now, 0, NULL, NULL);
}

/* exp of the prior's logarithms; NULL without a prior */
static const float *prior_variance(const struct share *s, struct mega_arena *scratch)
{
    if (s->a->prior_count <= 0) return NULL;
    const float *log_of = row_of(s->c->in[PRIOR_LOGV], 0);
    float *v = mega_arena_get(scratch, (size_t)s->a->groups * sizeof *v);
    for (int64_t g = 0; g < s->a->groups; g++) v[g] = expf(log_of[g]);
    return v;
}

static void start_row(const struct share *s, struct statistics *now, const float *prior_var)
{
    const struct mega_call *c = s->c;
    if (takes_state(s))
        start(s, now, count_of(s), row_of(c->in[MEAN], s->b), row_of(c->in[VAR], s->b));
    else
        start_fresh(s, now, prior_var);
}

/* mean and population variance of n numbers */
VEC_INLINE void moments(const float *x, int64_t n, float *mean, float *spread)
{
    vec sum = { 0 }, squares = { 0 };
    int64_t j = 0;
    for (; j < n; j += VEC) sum += vec_get(x + j, n - j);
    *mean = vec_sum(sum) / (float)n;
    for (j = 0; j + VEC <= n; j += VEC) {
        vec d = vec_load(x + j) - *mean;
        squares += d * d;
    }
    float total = vec_sum(squares);
    for (; j < n; j++) total += (x[j] - *mean) * (x[j] - *mean);
    *spread = total / (float)n;
}

/* sum + by, with what the sum has lost so far */
VEC_INLINE void add_exactly(float *sum, float *lost, float by)
{
    float in = by - *lost, next = *sum + in;
    *lost = (next - *sum) - in;
    *sum = next;
}

/* takes the numbers of a real place in */
static void advance(const struct share *s, struct statistics *now, const float *x)
{
    float mean[GROUPS] = { 0 }, spread[GROUPS] = { 0 };
    for (int g = 0; g < s->n; g++) moments(x + g * s->size, s->size, &mean[g], &spread[g]);
    now->n++;
    float c = (float)(1 / (double)now->n), rest = 1 - c;
    EACH_GROUP(g)
    {
        float e = mean[g] - now->u[g], between = rest * e * e;
        float step = s->means ? between : c * (spread[g] + between - now->v[g]);
        add_exactly(&now->u[g], &now->lost_u[g], c * e);
        add_exactly(&now->v[g], &now->lost_v[g], step);
    }
    set_factors(s, now);
}

/* ---- forward ---- */

static void normalise(const struct share *s, const struct statistics *now, const float *x,
    const float *w, const float *b, float *y)
{
    float offset = s->a->unit_offset ? 1 : 0;
    for (int g = 0; g < s->n; g++)
        for (int64_t j = 0, n = s->size, at = g * n; j < n; j += VEC) {
            vec v = (vec_get(x + at + j, n - j) - now->u[g]) * now->r[g];
            if (w) v *= vec_get(w + at + j, n - j) + offset;
            if (b) v += vec_get(b + at + j, n - j);
            vec_put(y + at + j, v, n - j);
        }
}

static void save(const struct share *s, const struct statistics *now, int64_t t)
{
    if (!s->c->saved[0]) return;
    float *kept = row_of(s->c->saved[0], s->b * s->T + t) + 2 * s->first;
    for (int g = 0; g < s->n; g++) {
        kept[2 * g] = now->u[g];
        kept[2 * g + 1] = now->r[g];
    }
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct mega_call *c = arg;
    struct share s = share_of(c, i);
    struct statistics now;
    const float *w = c->in[W] ? row_of(c->in[W], 0) + s.channel : NULL,
                *b = c->in[B] ? row_of(c->in[B], 0) + s.channel : NULL,
                *prior_var = prior_variance(&s, scratch);
    start_row(&s, &now, prior_var);
    for (int64_t t = 0; t < s.T; t++) {
        const float *x = place_in(&s, c->in[X], t);
        float *y = place_in(&s, c->out[0], t);
        bool real = real_at(&s, t);
        if (begins_at(&s, t)) start_fresh(&s, &now, prior_var);
        if (real) advance(&s, &now, x);
        save(&s, &now, t);
        if (real || s.means)
            normalise(&s, &now, x, w, b, y);
        else
            memset(y, 0, (size_t)(s.n * s.size) * sizeof *y);
    }
    if (!c->out[1]) return;
    if (s.first == 0) ((int32_t *)c->out[1]->data)[s.b] = (int32_t)now.n;
    for (int g = 0; g < s.n; g++) {
        row_of(c->out[2], s.b)[s.first + g] = now.u[g];
        row_of(c->out[3], s.b)[s.first + g] = now.n || s.means ? variance(&s, &now, g) : 1;
    }
}

static void forward(const struct mega_call *c)
{
    mega_lanes(c->work, c->in[X]->dim[0] * blocks_of(c), 6 * (double)mega_count(c->in[X]), lane,
        (void *)c);
}

/* ---- backward ---- */

/* The call, and each lane's sums: of weight, bias [D] and prior mean, prior logarithm [G] for
 * each row of the batch; row 0 receives the totals. */
struct pass {
    const struct mega_call *c;
    struct mega_grads *g;
    float *parts; /* [B + 1, 2 D + 2 G] */
};

static int64_t part_size(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    return 2 * (c->in[X]->dim[2] + a->groups);
}

/* The walk back of a lane. */
struct back {
    struct share s;
    const struct pass *pass;
    const float *w;
    const float *prior_var;
    int32_t *n;                 /* [T] places that count, after each place */
    float *dw, *db;             /* of the lane's channels */
    float *d_mean, *d_logv;     /* of its groups */
    float u[GROUPS], v[GROUPS]; /* gradients of the statistics (M with the port's means) */
    float factor_floor;         /* r of the least variance */
};

static void count_places(struct back *k)
{
    const struct share *s = &k->s;
    int64_t fresh = s->a->prior_count > 0 ? s->a->prior_count : 0;
    int64_t n = takes_state(s) ? count_of(s) : fresh;
    for (int64_t t = 0; t < s->T; t++) {
        if (begins_at(s, t)) n = fresh;
        n += real_at(s, t);
        k->n[t] = (int32_t)n;
    }
}

/* u before place t */
static float mean_before(const struct back *k, int64_t t, int g)
{
    const struct share *s = &k->s;
    const struct mega_call *c = s->c;
    bool fresh = begins_at(s, t);
    if (t > 0 && !fresh) return row_of(c->saved[0], s->b * s->T + t - 1)[2 * (s->first + g)];
    if (!fresh && takes_state(s)) return row_of(c->in[MEAN], s->b)[s->first + g];
    return s->a->prior_count > 0 ? row_of(c->in[PRIOR_MEAN], 0)[s->first + g] : 0;
}

/* what a group's numbers say at a place */
struct told {
    float ds, db, sum; /* sums of dy (x - u) w, of dy w, of x */
};

VEC_INLINE vec gain(const struct back *k, int64_t at, int64_t left)
{
    if (!k->w) return vec_all(1);
    return vec_get(k->w + at, left) + (k->s.a->unit_offset ? 1.0f : 0.0f);
}

VEC_INLINE struct told listen(
    const struct back *k, int64_t at, float u, float r, const float *x, const float *dy)
{
    vec ds = { 0 }, db = { 0 }, sum = { 0 };
    for (int64_t j = 0, n = k->s.size; j < n; j += VEC) {
        vec in = vec_get(x + at + j, n - j), d = vec_get(dy + at + j, n - j);
        vec e = in - u, dg = d * gain(k, at + j, n - j);
        sum += in;
        ds += dg * e; /* beyond the group's end d is 0 */
        db += dg;
        vec_add_to(k->dw + at + j, d * e * r, n - j);
        vec_add_to(k->db + at + j, d, n - j);
    }
    return (struct told){ vec_sum(ds), vec_sum(db), vec_sum(sum) };
}

/* dx = dy w r + mean_share + spread_share (x - mean); dy NULL: nothing arrived */
VEC_INLINE void answer(const struct back *k, int64_t at, float r, float mean_share,
    float spread_share, float mean, const float *x, const float *dy, float *dx, bool add)
{
    for (int64_t j = 0, n = k->s.size; j < n; j += VEC) {
        vec d = mean_share + spread_share * (vec_get(x + at + j, n - j) - mean);
        if (dy) d += vec_get(dy + at + j, n - j) * gain(k, at + j, n - j) * r;
        vec_give(dx + at + j, d, add, n - j);
    }
}

static void group_back(
    struct back *k, int64_t t, int g, const float *x, const float *dy, float *dx, bool real)
{
    const struct share *s = &k->s;
    const float *kept = row_of(s->c->saved[0], s->b * s->T + t) + 2 * (s->first + g);
    float u = kept[0], r = kept[1], size = (float)s->size, mean_share = 0, spread_share = 0;
    int64_t at = g * s->size;
    struct told told = { 0, 0, 0 };
    if (dy) {
        told = listen(k, at, u, r, x, dy);
    } else if (real) {
        for (int64_t j = 0; j < s->size; j++) told.sum += x[at + j];
    }
    float share = !s->means ? 1 : r >= k->factor_floor ? 0 : 1 / (float)at_least_one(k->n[t]);
    k->u[g] -= r * told.db;
    k->v[g] -= 0.5f * r * r * r * told.ds * share;
    float mean = told.sum / size;
    if (real) {
        float c = 1 / (float)k->n[t], e = mean - mean_before(k, t, g);
        float through = 2 * (s->means ? 1 : c) * (1 - c) * k->v[g] * e;
        mean_share = (c * k->u[g] + through) / size;
        if (!s->means) spread_share = 2 * c * k->v[g] / size;
        k->u[g] = (1 - c) * k->u[g] - through;
        if (!s->means) k->v[g] *= 1 - c;
    }
    bool add = k->pass->g->add >> X & 1;
    if (dx) answer(k, at, r, mean_share, spread_share, mean, x, dy, dx, add);
}

/* the statistics began here: what is left goes to the prior, and no further */
static void end_document(struct back *k)
{
    const struct share *s = &k->s;
    float times = s->means ? (float)at_least_one(s->a->prior_count) : 1;
    for (int g = 0; g < s->n && k->prior_var; g++) {
        k->d_mean[g] += k->u[g];
        k->d_logv[g] += k->v[g] * times * k->prior_var[s->first + g];
    }
    EACH_GROUP(g) k->u[g] = k->v[g] = 0;
}

static void give(mega_tensor *t, int64_t row, int64_t column, float value, bool add)
{
    if (!t) return;
    float *to = row_of(t, row) + column;
    *to = add ? *to + value : value;
}

static void end_row(struct back *k)
{
    const struct share *s = &k->s;
    struct mega_grads *grads = k->pass->g;
    bool taken = takes_state(s);
    float times = taken && s->means ? (float)at_least_one(count_of(s)) : 1;
    for (int g = 0; g < s->n; g++) {
        give(grads->in[MEAN], s->b, s->first + g, taken ? k->u[g] : 0, grads->add >> MEAN & 1);
        give(grads->in[VAR], s->b, s->first + g, taken ? k->v[g] * times : 0,
            grads->add >> VAR & 1);
    }
    if (!taken) end_document(k);
}

/* d v / d M of what went out with the port's means */
static float last_share(const struct back *k, int g)
{
    const struct share *s = &k->s;
    if (s->T > 0) {
        float r = row_of(s->c->saved[0], s->b * s->T + s->T - 1)[2 * g + 1];
        return r >= k->factor_floor ? 0 : 1 / (float)at_least_one(k->n[s->T - 1]);
    }
    bool taken = takes_state(s);
    int64_t n = taken ? count_of(s) : s->a->prior_count;
    float v = taken ? row_of(s->c->in[VAR], s->b)[g] : k->prior_var ? k->prior_var[g] : 1;
    return v < FLOOR_OF_MEANS ? 0 : 1 / (float)at_least_one(n);
}

/* the gradients of the statistics that went out */
static void begin_row(struct back *k)
{
    const struct share *s = &k->s;
    const struct mega_grads *g = k->pass->g;
    const float *d_mean = row_of(g->out[2], s->b), *d_var = row_of(g->out[3], s->b);
    for (int i = 0; i < s->n; i++) {
        int g_of = (int)s->first + i;
        k->u[i] = d_mean ? d_mean[g_of] : 0;
        k->v[i] = d_var ? d_var[g_of] * (s->means ? last_share(k, g_of) : 1) : 0;
    }
}

static void lane_back(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct pass *p = arg;
    const struct mega_call *c = p->c;
    struct back k = { .s = share_of(c, i), .pass = p };
    const struct share *s = &k.s;
    float *part = p->parts + (s->b + 1) * part_size(c);
    int64_t width = c->in[X]->dim[2];
    k.w = c->in[W] ? row_of(c->in[W], 0) + s->channel : NULL;
    k.prior_var = prior_variance(s, scratch);
    k.n = mega_arena_get(scratch, (size_t)(s->T + 1) * sizeof *k.n);
    k.dw = part + s->channel;
    k.db = part + width + s->channel;
    k.d_mean = part + 2 * width + s->first;
    k.d_logv = k.d_mean + s->a->groups;
    k.factor_floor = 1 / sqrtf(FLOOR_OF_MEANS + s->eps);
    memset(k.dw, 0, (size_t)(s->n * s->size) * sizeof(float));
    memset(k.db, 0, (size_t)(s->n * s->size) * sizeof(float));
    memset(k.d_mean, 0, (size_t)s->n * sizeof(float));
    memset(k.d_logv, 0, (size_t)s->n * sizeof(float));
    count_places(&k);
    begin_row(&k);
    for (int64_t t = s->T - 1; t >= 0; t--) {
        bool real = real_at(s, t), speaks = real || s->means;
        const float *x = place_in(s, c->in[X], t),
                    *dy = speaks ? place_in(s, p->g->out[0], t) : NULL;
        float *dx = place_in(s, p->g->in[X], t);
        for (int g = 0; g < s->n && speaks; g++) group_back(&k, t, g, x, dy, dx, real);
        if (!speaks && dx && !(p->g->add >> X & 1))
            memset(dx, 0, (size_t)(s->n * s->size) * sizeof *dx);
        if (begins_at(s, t)) end_document(&k);
    }
    end_row(&k);
}

static void give_totals(const struct pass *p, int input, const float *sum)
{
    mega_tensor *t = p->g->in[input];
    for (int64_t j = 0; t && j < mega_count(t); j++)
        give(t, 0, j, sum[j], p->g->add >> input & 1);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t rows = c->in[X]->dim[0], size = part_size(c), D = c->in[X]->dim[2];
    struct pass p = { c, g, NULL };
    p.parts = mega_scratch(c->work, (size_t)((rows + 1) * size) * sizeof(float));
    mega_lanes(c->work, rows * blocks_of(c), 12 * (double)mega_count(c->in[X]), lane_back, &p);
    memset(p.parts, 0, (size_t)size * sizeof *p.parts);
    for (int64_t b = 1; b <= rows; b++)
        for (int64_t j = 0; j < size; j++) p.parts[j] += p.parts[b * size + j];
    give_totals(&p, W, p.parts);
    give_totals(&p, B, p.parts + D);
    give_totals(&p, PRIOR_MEAN, p.parts + 2 * D);
    give_totals(&p, PRIOR_LOGV, p.parts + D + size / 2);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "takes float32 only";
    if (c->dtype != MEGA_F32) return false;
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != (i == COUNT ? MEGA_I32 : MEGA_F32)) return false;
    return true;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    const struct mega_attr_timestep_norm *a = c->attr;
    saved[0] = mega_shaped(MEGA_F32, 2, mega_height(c->in[X]), 2 * a->groups, 0, 0);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_timestep_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward };
